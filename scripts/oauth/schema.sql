-- A small OAuth service's database: who our users are, how they sign in, what they hold, what happened.
create table users (
  id bigint generated always as identity primary key,
  email text not null unique,
  display_name text not null,
  password_hash text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table user_providers (
  id bigint generated always as identity primary key,
  user_id bigint not null references users on delete cascade,
  provider text not null,
  subject text not null,
  profile jsonb not null default '{}',
  unique (provider, subject)
);
create index on user_providers (user_id);

create table oauth_tokens (
  id bigint generated always as identity primary key,
  user_id bigint not null references users on delete cascade,
  access_token_hash bytea not null,
  refresh_token_hash bytea not null,
  scope text not null,
  expires_at timestamptz not null,
  refreshed_at timestamptz not null default now()
);
create index on oauth_tokens (user_id);

create table user_sessions (
  id uuid primary key default gen_random_uuid(),
  user_id bigint not null references users on delete cascade,
  address inet not null,
  user_agent text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
);
create index on user_sessions (user_id);

-- No reference to users: the log outlives them.
create table auth_audit_log (
  id bigint generated always as identity primary key,
  user_id bigint,
  event text not null,
  detail jsonb not null default '{}',
  occurred_at timestamptz not null default clock_timestamp()
);
create index on auth_audit_log (occurred_at);
