/** S3's own limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
export const mostParts = 10_000
export const smallestPartBytes: number = 5 * 1024 * 1024
export const largestPartBytes: number = 5 * 1024 ** 3
