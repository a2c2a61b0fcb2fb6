-- How often a job was begun without getting any further: one that takes its process down is given up some time.
alter table admin_jobs add column attempts integer not null default 0;
