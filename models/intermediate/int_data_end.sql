with

days as (
    select * from {{ source('optimizely_ledger', 'days') }}
),

final as (
    select cast(max(export_date) as timestamp) + interval '1' day as data_ends_at
    from days
    where export_type = 'events'
)

select * from final
