with

source as (
    select * from {{ source('optimizely_raw', 'variation_names') }}
),

renamed as (
    select
        -- ids
        experiment_id,
        variation_id,

        -- strings
        variation_name,

        -- numerics
        weight,

        -- booleans
        is_archived,

        -- timestamps
        fetched_at
    from source
)

select * from renamed
