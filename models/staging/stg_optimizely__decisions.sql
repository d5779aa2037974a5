with

source as (
    select * from {{ source('optimizely_raw', 'decisions') }}
),

renamed as (
    select
        -- ids
        {{ optimizely_e3.event_id('uuid') }} as event_id,
        nullif(visitor_id, '') as visitor_id,
        nullif(session_id, '') as vendor_session_id,
        account_id,
        nullif(campaign_id, '') as campaign_id,
        nullif(experiment_id, '') as experiment_id,
        nullif(variation_id, '') as variation_id,

        -- strings
        user_ip,
        user_agent,
        referer,
        revision,
        client_engine,
        client_version,

        -- nested
        attributes,

        -- booleans
        coalesce(is_holdback, false) as is_holdback,

        -- timestamps
        timestamp as occurred_at,
        process_timestamp as processed_at,

        -- lineage
        _export_date,
        _file_id,
        _file_row,
        _load_id
    from source
)

select * from renamed
