with

sightings as (
    select * from {{ ref('int_sightings') }}
),

exposures as (
    select * from {{ ref('fct_exposures') }}
),

fetched as (
    select * from {{ ref('stg_optimizely__experiment_names') }}
),

registered as (
    select * from {{ ref('stg_registry__experiments') }}
),

counted as (
    select
        experiment_id,
        sum(new_visitors) as visitor_count
    from {{ ref('int_exposure_days') }}
    group by experiment_id
),

seen as (
    select
        experiment_id,
        max(campaign_id) as campaign_id,
        count(distinct variation_id) as variation_count,
        cast(count_if(is_decision) as bigint) as decision_count,
        min(occurred_at) as first_seen_at,
        max(occurred_at) as last_seen_at
    from sightings
    group by experiment_id
),

visitors as (
    select
        experiment_id,
        count(*) as visitor_count,
        cast(count_if(exposure_status = 'crossover') as bigint) as crossover_count,
        cast(count_if(exposure_status = 'holdback') as bigint) as holdback_count,
        cast(count_if(exposure_status = 'bot') as bigint) as bot_count
    from exposures
    group by experiment_id
),

final as (
    select
        seen.experiment_id,
        seen.campaign_id,
        coalesce(registered.experiment_name, fetched.experiment_name) as experiment_name,
        fetched.experiment_key,
        coalesce(registered.status, fetched.status) as status,
        registered.baseline_variation_id,
        registered.primary_metric,
        seen.variation_count,
        seen.decision_count,
        coalesce(visitors.visitor_count, 0) as visitor_count,
        cast(coalesce(counted.visitor_count, 0) as bigint) as counted_visitor_count,
        coalesce(visitors.crossover_count, 0) as crossover_count,
        coalesce(visitors.holdback_count, 0) as holdback_count,
        coalesce(visitors.bot_count, 0) as bot_count,
        seen.first_seen_at,
        seen.last_seen_at
    from seen
    left join visitors on seen.experiment_id = visitors.experiment_id
    left join counted on seen.experiment_id = counted.experiment_id
    left join registered on seen.experiment_id = registered.experiment_id
    left join fetched on seen.experiment_id = fetched.experiment_id
)

select * from final
