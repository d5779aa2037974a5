with

source as (
    select * from {{ source('optimizely_raw', 'experiment_names') }}
),

renamed as (
    select
        -- ids
        experiment_id,
        project_id,

        -- strings
        experiment_name,
        experiment_key,
        status,

        -- timestamps
        fetched_at
    from source
)

select * from renamed
