{{ optimizely_e3.visitor_config(partition_by='export_date') }}

with

conversions as (
    {{ optimizely_e3.rows_to_rebuild(ref('stg_optimizely__conversions')) }}
),

sessionized as (
    {{ optimizely_e3.rows_to_rebuild(ref('int_events_sessionized')) }}
),

bot_user_agents as (
    {{ optimizely_e3.bot_user_agents(ref('stg_optimizely__conversions')) }}
),

-- The join drops duplicates: they have no row in sessionized.
flagged as (
    select
        conversions.*,
        sessionized.session_started_at,
        {{ optimizely_e3.bot_reason('conversions') }} as bot_reason
    from conversions
    inner join sessionized
        on
            conversions._file_id = sessionized._file_id
            and conversions._file_row = sessionized._file_row
    left join bot_user_agents on conversions.user_agent = bot_user_agents.user_agent
),

final as (
    select
        event_id,
        visitor_id,
        {{ optimizely_e3.session_key('visitor_id', 'session_started_at') }}
            as session_key,
        vendor_session_id,
        account_id,
        entity_id,
        event_name,
        event_type,
        user_ip,
        user_agent,
        referer,
        revision,
        client_engine,
        client_version,
        experiments,
        attributes,
        tags,
        properties,
        revenue_cents,
        value,
        quantity,
        bot_reason is not null as is_bot,
        bot_reason,
        occurred_at,
        processed_at,
        _export_date as export_date
    from flagged
)

select{{ optimizely_e3.gathered_by('export_date') }} * from final
