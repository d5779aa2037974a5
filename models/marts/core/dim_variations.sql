with

sightings as (
    select * from {{ ref('int_sightings') }}
),

fetched as (
    select * from {{ ref('stg_optimizely__variation_names') }}
),

registered as (
    select * from {{ ref('stg_registry__variations') }}
),

counted as (
    select
        experiment_id,
        variation_id,
        sum(new_visitors) as visitor_count
    from {{ ref('int_exposure_days') }}
    group by experiment_id, variation_id
),

seen as (
    select
        experiment_id,
        variation_id,
        max(campaign_id) as campaign_id,
        cast(count_if(is_decision) as bigint) as decision_count,
        min(occurred_at) as first_seen_at,
        max(occurred_at) as last_seen_at
    from sightings
    where variation_id is not null
    group by experiment_id, variation_id
),

final as (
    select
        seen.experiment_id,
        seen.variation_id,
        seen.campaign_id,
        coalesce(registered.variation_name, fetched.variation_name) as variation_name,
        coalesce(registered.weight, fetched.weight) as weight,
        seen.decision_count,
        cast(coalesce(counted.visitor_count, 0) as bigint) as visitor_count,
        seen.first_seen_at,
        seen.last_seen_at
    from seen
    left join counted
        on
            seen.experiment_id = counted.experiment_id
            and seen.variation_id = counted.variation_id
    left join registered
        on
            seen.experiment_id = registered.experiment_id
            and seen.variation_id = registered.variation_id
    left join fetched
        on
            seen.experiment_id = fetched.experiment_id
            and seen.variation_id = fetched.variation_id
)

select * from final
