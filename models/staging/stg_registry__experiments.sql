with

source as (
    select * from {{ ref('experiments') }}
),

renamed as (
    select
        -- ids
        experiment_id,
        {{ optimizely_e3.blank_is_null('baseline_variation_id') }} as baseline_variation_id,

        -- strings
        {{ optimizely_e3.blank_is_null('experiment_name') }} as experiment_name,
        {{ optimizely_e3.blank_is_null('status') }} as status,
        {{ optimizely_e3.blank_is_null('primary_metric') }} as primary_metric
    from source
)

select * from renamed
