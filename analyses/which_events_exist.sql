-- Which events are there, so that metrics can be declared?
--
-- One row per event: entity id × event name, the most frequent first. `event_name`, `entity_id` and
-- `event_type` are what a row of seeds/metric_events.csv matches; `tag_names` are the ten tags that
-- come with the event most often; `declared_metrics` are those whose rows match the event, perhaps
-- only with a tag.
--
-- Vars: `event_key` (the event's name, or its entity id where it has none; all without it).
with

events as (
    select * from {{ ref('dim_events') }}
),

conversions as (
    select * from {{ ref('fct_conversions') }}
),

metric_events as (
    select * from {{ ref('stg_registry__metric_events') }}
),

-- An event may come with several types; each is what rows of a metric can match.
event_types as (
    select distinct
        entity_id,
        event_name,
        event_type
    from conversions
),

quantities as (
    select
        entity_id,
        event_name,
        sum(cast(quantity as decimal(38, 0))) as quantity
    from conversions
    group by entity_id, event_name
),

tags as (
    select
        entity_id,
        event_name,
        {{ optimizely_e3.each_element('map_keys(tags)') }} as tag_name
    from conversions
),

ranked_tags as (
    select
        entity_id,
        event_name,
        tag_name,
        row_number() over (
            partition by entity_id, event_name
            order by count(*) desc, tag_name
        ) as place
    from tags
    group by entity_id, event_name, tag_name
),

tag_names as (
    select
        entity_id,
        event_name,
        {{ optimizely_e3.joined_text('array_sort(array_agg(tag_name))', "', '") }} as tag_names
    from ranked_tags
    where place <= 10
    group by entity_id, event_name
),

declared_metrics as (
    select
        event_types.entity_id,
        event_types.event_name,
        {{ optimizely_e3.joined_text(
            'array_sort(array_agg(distinct metric_events.metric_name))', "', '"
        ) }} as declared_metrics
    from event_types
    inner join metric_events
        on
            metric_events.match_value = case metric_events.match_field
                when 'event_name' then event_types.event_name
                when 'entity_id' then event_types.entity_id
                else event_types.event_type
            end
    group by event_types.entity_id, event_types.event_name
),

final as (
    select
        events.event_name,
        events.entity_id,
        events.conversion_count,
        events.visitor_count,
        tag_names.tag_names,
        declared_metrics.declared_metrics,
        events.event_type,
        events.revenue_cents,
        events.value,
        coalesce(quantities.quantity, 0) as quantity,
        events.event_key,
        events.first_seen_at,
        events.last_seen_at
    from events
    left join quantities
        on
            events.entity_id is not distinct from quantities.entity_id
            and events.event_name is not distinct from quantities.event_name
    left join tag_names
        on
            events.entity_id is not distinct from tag_names.entity_id
            and events.event_name is not distinct from tag_names.event_name
    left join declared_metrics
        on
            events.entity_id is not distinct from declared_metrics.entity_id
            and events.event_name is not distinct from declared_metrics.event_name
    where {{ optimizely_e3.is_asked_for('events.event_key') }}
)

select * from final
order by conversion_count desc, event_key, entity_id
