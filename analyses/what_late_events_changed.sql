-- What did events change that were exported after their day?
--
-- One row per day × experiment (its decisions) or event (its conversions) of which anything came
-- late: in the export of a later date than the day on which it happened. What was there `_on_time`
-- is what a report saw once the day itself was landed; the rest came by `last_export_date`. By
-- UTC, as the export's dates are.
--
-- Vars: `experiment_id`, `event_key` (the event's name, or its entity id where it has none): the
-- decisions of the one and the conversions of the other; all without them.
with

decisions as (
    select * from {{ ref('fct_decisions') }}
),

conversions as (
    select * from {{ ref('fct_conversions') }}
),

events as (
    select
        'decisions' as event_kind,
        experiment_id,
        cast(null as string) as event_key,
        visitor_id,
        cast(null as bigint) as revenue_cents,
        export_date,
        cast(occurred_at as date) as occurred_date
    from decisions
    union all
    select
        'conversions' as event_kind,
        cast(null as string) as experiment_id,
        {{ optimizely_e3.event_key('event_name', 'entity_id') }} as event_key,
        visitor_id,
        revenue_cents,
        export_date,
        cast(occurred_at as date) as occurred_date
    from conversions
),

asked_for as (
    select
        *,
        export_date <= occurred_date as is_on_time,
        cast(revenue_cents as decimal(38, 0)) as cents
    from events
    where
        occurred_date is not null
        and {{ optimizely_e3.is_any_asked_for(['experiment_id', 'event_key']) }}
),

final as (
    select
        occurred_date,
        experiment_id,
        event_key,
        cast(count_if(is_on_time) as bigint) as events_on_time,
        count(*) as events,
        max(export_date) as last_export_date,
        count(distinct case when is_on_time then visitor_id end) as visitors_on_time,
        count(distinct visitor_id) as visitors,
        coalesce(sum(case when is_on_time then cents end), 0) as revenue_cents_on_time,
        coalesce(sum(cents), 0) as revenue_cents,
        event_kind
    from asked_for
    group by occurred_date, event_kind, experiment_id, event_key
    having count_if(not is_on_time) > 0
)

select * from final
order by occurred_date, event_kind, experiment_id nulls last, event_key nulls last
