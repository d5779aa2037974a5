with

decisions as (
    select
        visitor_id,
        _load_id
    from {{ ref('stg_optimizely__decisions') }}
),

conversions as (
    select
        visitor_id,
        _load_id
    from {{ ref('stg_optimizely__conversions') }}
),

changed_visitors as (
    select
        nullif(visitor_id, '') as visitor_id,
        load_id
    from {{ source('optimizely_ledger', 'changed_visitors') }}
),

final as (
    select
        visitor_id,
        _load_id as load_id
    from decisions
    union all
    select
        visitor_id,
        _load_id as load_id
    from conversions
    union all
    select
        visitor_id,
        load_id
    from changed_visitors
)

select * from final
