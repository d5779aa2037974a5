-- Events of declared metrics that are not in the data: misspelt, or not there yet. Returns the rows
-- of metric_events.csv that no event matches.
{{ config(severity='warn') }}

with

metric_events as (
    select * from {{ ref('stg_registry__metric_events') }}
),

conversions as (
    select * from {{ ref('fct_conversions') }}
),

kinds as (
    select distinct
        event_name,
        entity_id,
        event_type
    from conversions
),

matching_kinds as (
    select
        metric_events.*,
        kinds.event_name,
        kinds.entity_id,
        kinds.event_type
    from metric_events
    inner join kinds
        on
            metric_events.match_value = case metric_events.match_field
                when 'event_name' then kinds.event_name
                when 'entity_id' then kinds.entity_id
                else kinds.event_type
            end
),

seen as (
    select
        metric_name,
        clause,
        part,
        match_field,
        match_value,
        tag_name,
        tag_value
    from matching_kinds
    where tag_name is null
    union all
    select distinct
        matching_kinds.metric_name,
        matching_kinds.clause,
        matching_kinds.part,
        matching_kinds.match_field,
        matching_kinds.match_value,
        matching_kinds.tag_name,
        matching_kinds.tag_value
    from matching_kinds
    inner join conversions
        on
            matching_kinds.event_name is not distinct from conversions.event_name
            and matching_kinds.entity_id is not distinct from conversions.entity_id
            and matching_kinds.event_type is not distinct from conversions.event_type
    where
        matching_kinds.tag_name is not null
        and conversions.tags[matching_kinds.tag_name] is not null
        and coalesce(
            conversions.tags[matching_kinds.tag_name] = matching_kinds.tag_value, true
        )
)

select
    metric_events.metric_name,
    metric_events.clause,
    metric_events.part,
    metric_events.match_field,
    metric_events.match_value,
    metric_events.tag_name,
    metric_events.tag_value
from metric_events
where
    not exists (
        select 1
        from seen
        where
            seen.metric_name = metric_events.metric_name
            and seen.clause = metric_events.clause
            and seen.part = metric_events.part
            and seen.match_field = metric_events.match_field
            and seen.match_value = metric_events.match_value
            and seen.tag_name is not distinct from metric_events.tag_name
            and seen.tag_value is not distinct from metric_events.tag_value
    )
