with

decisions as (
    select * from {{ ref('fct_decisions') }}
),

attributions as (
    select * from {{ ref('int_vendor_attributions') }}
),

sightings as (
    select
        campaign_id,
        experiment_id,
        variation_id,
        occurred_at,
        1 as decision_count
    from decisions
    union all
    select
        campaign_id,
        experiment_id,
        variation_id,
        occurred_at,
        0 as decision_count
    from attributions
),

final as (
    select
        experiment_id,
        variation_id,
        max(campaign_id) as campaign_id,
        cast(sum(decision_count) as bigint) as decision_count,
        min(occurred_at) as first_seen_at,
        max(occurred_at) as last_seen_at
    from sightings
    where experiment_id is not null and variation_id is not null
    group by experiment_id, variation_id
)

select * from final
