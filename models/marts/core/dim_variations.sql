with

sightings as (
    select * from {{ ref('int_sightings') }}
),

final as (
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
)

select * from final
