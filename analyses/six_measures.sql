-- What are the six measures of the export's specification?
--
-- One row per experiment × entity (event) that the vendor attributes to it; an experiment without
-- any has one row. In each: (1) unique visitors by decisions, (2) unique visitors from all events,
-- (3) unique conversions, (4) total conversions, (5) total revenue in cents and (6) total value of
-- the entity. The attribution is the vendor's; holdback counts on neither side.
--
-- Vars: `experiment_id`, `entity_id` (all without them); `measures_from_ms`, `measures_until_ms`:
-- the window on the time of the events in epoch milliseconds, both included (no limits without
-- them).
with

experiments as (
    select * from {{ ref('dim_experiments') }}
),

decisions as (
    select * from {{ ref('fct_decisions') }}
),

attributed_conversions as (
    select * from {{ ref('fct_attributed_conversions') }}
),

conversions as (
    select
        experiment_id,
        visitor_id,
        entity_id,
        revenue_cents,
        value
    from attributed_conversions
    where
        attribution_source in ('vendor', 'both')
        and {{ optimizely_e3.is_in_measured_window('occurred_at') }}
),

events as (
    select
        experiment_id,
        visitor_id,
        true as is_decision
    from decisions
    where not is_holdback and {{ optimizely_e3.is_in_measured_window('occurred_at') }}
    union all
    select
        experiment_id,
        visitor_id,
        false as is_decision
    from conversions
),

visitors as (
    select
        experiment_id,
        count(distinct case when is_decision then visitor_id end) as visitors_by_decisions,
        count(distinct visitor_id) as visitors_by_all_events
    from events
    group by experiment_id
),

converted as (
    select
        experiment_id,
        entity_id,
        count(distinct visitor_id) as unique_conversions,
        count(*) as total_conversions,
        sum(cast(revenue_cents as decimal(38, 0))) as total_revenue_cents,
        sum(value) as total_value
    from conversions
    where {{ optimizely_e3.is_asked_for('entity_id') }}
    group by experiment_id, entity_id
),

final as (
    select
        experiments.experiment_id,
        coalesce(converted.entity_id, {{ optimizely_e3.asked_for('entity_id') }}) as entity_id,
        coalesce(visitors.visitors_by_decisions, 0) as visitors_by_decisions,
        coalesce(visitors.visitors_by_all_events, 0) as visitors_by_all_events,
        coalesce(converted.unique_conversions, 0) as unique_conversions,
        coalesce(converted.total_conversions, 0) as total_conversions,
        coalesce(converted.total_revenue_cents, 0) as total_revenue_cents,
        coalesce(converted.total_value, cast(0 as double)) as total_value
    from experiments
    left join visitors on experiments.experiment_id = visitors.experiment_id
    left join converted on experiments.experiment_id = converted.experiment_id
    where {{ optimizely_e3.is_asked_for('experiments.experiment_id') }}
)

select * from final
order by experiment_id, total_conversions desc, entity_id
