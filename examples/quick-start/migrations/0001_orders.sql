create table orders (
  id bigint generated always as identity primary key,
  buyer text not null,
  cents integer not null check (cents > 0)
);
