import { describe, expect, test } from 'vitest'
import { skins } from '../fixtures/open-x.ts'

describe.each(skins)('over %s', (_, open) => {
  describe('a body', () => {
    const poll = { options: ['yes', 'no'], duration_minutes: 60 }
    test.each<[string, unknown, number]>([
      ['that is no JSON', '{"text":', 400],
      ['that is empty', '', 400],
      ['that is a list', '[]', 400],
      ['that is null', 'null', 400],
      ['without anything', {}, 400],
      ['with a text that is none', { text: 7 }, 400],
      ['with a text of null', { text: null }, 400],
      ['with a blank text', { text: ' ' }, 400],
      ['with a text of 281', { text: 'a'.repeat(281) }, 400],
      ['with a text of 280', { text: 'a'.repeat(280) }, 201],
      ['with a text of 141 wide characters', { text: '日'.repeat(141) }, 400],
      ['with a text of 140 families', { text: '👩‍👩‍👧‍👦'.repeat(140) }, 201],
      ['with a text of 141 families', { text: '👩‍👩‍👧‍👦'.repeat(141) }, 400],
      ['with a text of decomposed letters', { text: 'e\u0301'.repeat(280) }, 201],
      ['with a link of 500', { text: `${'a'.repeat(256)} https://example.org/${'x'.repeat(500)}` }, 201],
      ['with a bare domain of 500', { text: `${'a'.repeat(256)} example.org/${'x'.repeat(500)}` }, 201],
      ['with a bare domain and one too many', { text: `${'a'.repeat(257)} example.org` }, 400],
      ['with an unknown field', { text: 'a', media_ids: ['1'] }, 400],
      ['with a field of the prototype', '{"text":"a","__proto__":{}}', 400],
      ['with a field called constructor', '{"text":"a","constructor":1}', 400],
      ['with an unknown field in a reply', { text: 'a', reply: { in_reply_to_tweet_id: '1', to: '2' } }, 400],
      ['with a reply to a number', { text: 'a', reply: { in_reply_to_tweet_id: 1 } }, 400],
      ['with a reply to nothing', { text: 'a', reply: {} }, 400],
      ['with a poll', { text: 'a', poll }, 501],
      ['with a poll of one option', { text: 'a', poll: { ...poll, options: ['yes'] } }, 400],
      [
        'with a poll of five options',
        { text: 'a', poll: { ...poll, options: ['1', '2', '3', '4', '5'] } },
        400,
      ],
      ['with a poll of a long option', { text: 'a', poll: { ...poll, options: ['a', 'b'.repeat(26)] } }, 400],
      ['with a poll of four minutes', { text: 'a', poll: { ...poll, duration_minutes: 4 } }, 400],
      ['with a poll of a week and a minute', { text: 'a', poll: { ...poll, duration_minutes: 10_081 } }, 400],
      ['with a poll that has no end', { text: 'a', poll: { options: ['a', 'b'] } }, 400],
      ['with media', { text: 'a', media: { media_ids: ['1', '2', '3', '4'] } }, 501],
      ['with media alone', { media: { media_ids: ['1'] } }, 501],
      ['with no media', { text: 'a', media: { media_ids: [] } }, 400],
      ['with five media', { text: 'a', media: { media_ids: ['1', '2', '3', '4', '5'] } }, 400],
      ['with media by number', { text: 'a', media: { media_ids: [1] } }, 400],
      ['with media and a poll', { text: 'a', poll, media: { media_ids: ['1'] } }, 400],
      ['with a quote', { text: 'a', quote_tweet_id: '1' }, 501],
      ['with an audience', { text: 'a', reply_settings: 'following' }, 501],
      ['with an audience that is none', { text: 'a', reply_settings: 'nobody' }, 400],
      ['that is too large', { text: 'a'.repeat(70_000) }, 413],
    ])('%s is answered right', async (_name, body, expected) => {
      const { call, publisher } = await open()
      const { status, json } = await call('POST', '/2/tweets', body)
      expect(status, JSON.stringify(json)).toBe(expected)
      expect(publisher.posts).toHaveLength(expected === 201 ? 1 : 0)
      if (expected === 400) {
        expect(json).toMatchObject({
          title: 'Invalid Request',
          type: 'https://api.twitter.com/2/problems/invalid-request',
          errors: [{ message: expect.any(String) }],
        })
      }
    })

    test('of bytes that are no UTF-8, or of half a character, is 400', async () => {
      const { call } = await open()
      const bytes = Uint8Array.from([...Buffer.from('{"text":"'), 0xff, ...Buffer.from('"}')])
      expect((await call('POST', '/2/tweets', bytes)).status).toBe(400)
      expect((await call('POST', '/2/tweets', '{"text":"\\ud800"}')).status).toBe(400)
    })

    test.each([
      ['text/plain', 400],
      ['application/x-www-form-urlencoded', 400],
      ['application/jsonp', 400],
      ['application/json; charset=utf-8', 201],
      ['Application/JSON', 201],
    ])('of the type %s is %i', async (type, expected) => {
      const { call } = await open()
      expect((await call('POST', '/2/tweets', { text: 'a' }, { 'content-type': type })).status).toBe(expected)
    })
  })
})
