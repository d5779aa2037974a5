with

source as (
    select * from {{ ref('experiments') }}
),

renamed as (
    select
        -- ids
        experiment_id,

        -- strings
        {{ optimizely_e3.blank_is_null('experiment_name') }} as experiment_name,
        {{ optimizely_e3.blank_is_null('status') }} as status
    from source
)

select * from renamed
