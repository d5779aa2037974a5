with

source as (
    select * from {{ ref('bot_user_agents') }}
),

renamed as (
    select
        -- strings
        lower(pattern) as pattern,
        description
    from source
    where {{ optimizely_e3.blank_is_null('trim(pattern)') }} is not null
)

select * from renamed
