-- Gaps in timelines, and the history that fills them: docs/architecture.md, "State is a history".

-- Which events have a gap before them.
create index missing_events_referenced_by on missing_events (referenced_by);

-- 16: back-filled history, whose state is not that of its position. 32: a gap before the event.
update events set flags = flags | 16 where timeline < 0;
update events set flags = flags | 32
where timeline is not null and event_nid in (select referenced_by from missing_events);
