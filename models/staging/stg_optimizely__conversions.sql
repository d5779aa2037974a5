with

source as (
    select * from {{ source('optimizely_raw', 'conversions') }}
),

renamed as (
    select
        -- ids
        {{ optimizely_e3.event_id('uuid') }} as event_id,
        nullif(visitor_id, '') as visitor_id,
        nullif(session_id, '') as vendor_session_id,
        account_id,
        nullif(entity_id, '') as entity_id,

        -- strings
        nullif(event_name, '') as event_name,
        event_type,
        user_ip,
        user_agent,
        referer,
        revision,
        client_engine,
        client_version,

        -- nested
        experiments,
        attributes,
        tags,
        properties,

        -- numerics
        revenue as revenue_cents,
        case when abs(value) < 1e150 then value end as value,
        quantity,

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
