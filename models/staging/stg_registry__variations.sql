with

source as (
    select * from {{ ref('variations') }}
),

renamed as (
    select
        -- ids
        experiment_id,
        variation_id,

        -- strings
        {{ optimizely_e3.blank_is_null('variation_name') }} as variation_name,

        -- numerics
        cast({{ optimizely_e3.blank_is_null('weight') }} as double) as weight
    from source
)

select * from renamed
