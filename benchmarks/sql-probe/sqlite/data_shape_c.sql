-- Shape c needs a flag in the row. Added apart from the schema, for only the probe of that shape uses it.
alter table job add column ready integer not null default 0;
