with

conversions as (
    select * from {{ ref('fct_conversions') }}
),

final as (
    select
        {{ optimizely_e3.event_key('event_name', 'entity_id') }} as event_key,
        entity_id,
        event_name,
        max(event_type) as event_type,
        count(*) as conversion_count,
        count(distinct visitor_id) as visitor_count,
        cast(coalesce(sum(cast(revenue_cents as decimal(38, 0))), 0) as decimal(38, 0))
            as revenue_cents,
        coalesce(sum(value), cast(0 as double)) as value,
        min(occurred_at) as first_seen_at,
        max(occurred_at) as last_seen_at
    from conversions
    where event_name is not null or entity_id is not null
    group by entity_id, event_name
)

select * from final
