with

decisions as (
    select * from {{ ref('fct_decisions') }}
),

attributions as (
    select * from {{ ref('int_vendor_attributions') }}
),

sightings as (
    select
        visitor_id,
        campaign_id,
        experiment_id,
        variation_id,
        is_holdback,
        true as is_decision,
        occurred_at
    from decisions
    where experiment_id is not null
    union all
    select
        visitor_id,
        campaign_id,
        experiment_id,
        variation_id,
        is_holdback,
        false as is_decision,
        occurred_at
    from attributions
)

select * from sightings
