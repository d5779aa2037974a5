{{ optimizely_e3.visitor_config(partition_by='export_date') }}

with

decisions as (
    {{ optimizely_e3.rows_to_rebuild(ref('stg_optimizely__decisions')) }}
),

sessionized as (
    {{ optimizely_e3.rows_to_rebuild(ref('int_events_sessionized')) }}
),

bot_user_agents as (
    {{ optimizely_e3.bot_user_agents(ref('stg_optimizely__decisions')) }}
),

-- The join drops duplicates: they have no row in sessionized.
flagged as (
    select
        decisions.*,
        sessionized.session_started_at,
        {{ optimizely_e3.bot_reason('decisions') }} as bot_reason
    from decisions
    inner join sessionized
        on
            decisions._file_id = sessionized._file_id
            and decisions._file_row = sessionized._file_row
    left join bot_user_agents on decisions.user_agent = bot_user_agents.user_agent
),

final as (
    select
        event_id,
        visitor_id,
        {{ optimizely_e3.session_key('visitor_id', 'session_started_at') }}
            as session_key,
        vendor_session_id,
        account_id,
        campaign_id,
        experiment_id,
        variation_id,
        user_ip,
        user_agent,
        referer,
        revision,
        client_engine,
        client_version,
        attributes,
        is_holdback,
        bot_reason is not null as is_bot,
        bot_reason,
        occurred_at,
        processed_at,
        _export_date as export_date
    from flagged
)

select{{ optimizely_e3.gathered_by('export_date') }} * from final
