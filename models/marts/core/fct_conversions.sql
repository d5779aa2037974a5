{{ optimizely_e3.visitor_config() }}

with

conversions as (
    {{ optimizely_e3.rows_to_rebuild(ref('stg_optimizely__conversions')) }}
),

sessionized as (
    {{ optimizely_e3.rows_to_rebuild(ref('int_events_sessionized')) }}
),

-- The join drops duplicates: they have no row in sessionized.
final as (
    select
        conversions.event_id,
        conversions.visitor_id,
        {{ optimizely_e3.session_key('conversions.visitor_id', 'sessionized.session_started_at') }}
            as session_key,
        conversions.vendor_session_id,
        conversions.account_id,
        conversions.entity_id,
        conversions.event_name,
        conversions.event_type,
        conversions.user_ip,
        conversions.user_agent,
        conversions.referer,
        conversions.revision,
        conversions.client_engine,
        conversions.client_version,
        conversions.experiments,
        conversions.attributes,
        conversions.tags,
        conversions.properties,
        conversions.revenue_cents,
        conversions.value,
        conversions.quantity,
        {{ optimizely_e3.is_bot('conversions.attributes') }} as is_bot,
        conversions.occurred_at,
        conversions.processed_at,
        conversions._export_date as export_date
    from conversions
    inner join sessionized
        on
            conversions._file_id = sessionized._file_id
            and conversions._file_row = sessionized._file_row
)

select * from final
