create table events (
  id uuid primary key,
  name text not null check (name <> ''),
  starts_at timestamptz not null,
  price_cents integer not null check (price_cents >= 0),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  seats_total integer not null check (seats_total > 0),
  -- Every sale counts this down in the event's own row, so the sales of one event go one after another.
  seats_left integer not null check (seats_left between 0 and seats_total),
  created_at timestamptz not null default now()
);

create table orders (
  id uuid primary key,
  event_id uuid not null references events,
  buyer text not null,
  idempotency_key text not null,
  -- What the key was first used for: the same key with another request is a mistake of the client's.
  fingerprint text not null,
  total_cents integer not null check (total_cents >= 0),
  created_at timestamptz not null default now(),
  unique (buyer, idempotency_key)
);

create index orders_of_event on orders (event_id);

-- One row a seat. A seat is sold when its row names an order; it can name one only.
create table seats (
  event_id uuid not null references events,
  label text not null,
  -- 1 is the best.
  rank integer not null,
  order_id uuid references orders,
  primary key (event_id, label),
  unique (event_id, rank)
);

create index free_seats on seats (event_id, rank) where order_id is null;
create index seats_of_order on seats (order_id) where order_id is not null;

-- What is still to be done outside this database, written in the transaction that makes it necessary.
create table outbox (
  id bigint generated always as identity primary key,
  kind text not null check (kind in ('receipt', 'mail', 'print', 'post')),
  -- The order; for a post, the event.
  subject_id uuid not null,
  -- waiting → running → done; back to waiting when it may be tried again; failed and uncertain wait for a person.
  state text not null default 'waiting' check (state in ('waiting', 'running', 'done', 'failed', 'uncertain')),
  attempts integer not null default 0,
  -- When it may be touched next; while it is running, when its worker is taken for dead.
  due_at timestamptz not null default now(),
  last_error text,
  unique (kind, subject_id)
);

create index outbox_due on outbox (due_at) where state in ('waiting', 'running');
