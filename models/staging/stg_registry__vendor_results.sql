with

source as (
    select * from {{ ref('vendor_results') }}
),

renamed as (
    select
        -- ids
        {{ optimizely_e3.blank_is_null('experiment_id') }} as experiment_id,
        {{ optimizely_e3.blank_is_null('variation_id') }} as variation_id,

        -- strings
        {{ optimizely_e3.blank_is_null('event_key') }} as event_key,
        {{ optimizely_e3.blank_is_null('measure') }} as measure,

        -- numerics
        try_cast(vendor_value as double) as vendor_value
    from source
),

final as (
    select
        experiment_id,
        variation_id,
        event_key,
        measure,
        case when abs(vendor_value) < 1e300 then vendor_value end as vendor_value
    from renamed
)

select * from final
