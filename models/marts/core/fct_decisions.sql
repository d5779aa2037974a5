{{ optimizely_e3.visitor_config() }}

with

decisions as (
    {{ optimizely_e3.rows_to_rebuild(ref('stg_optimizely__decisions')) }}
),

sessionized as (
    {{ optimizely_e3.rows_to_rebuild(ref('int_events_sessionized')) }}
),

-- The join drops duplicates: they have no row in sessionized.
final as (
    select
        decisions.event_id,
        decisions.visitor_id,
        {{ optimizely_e3.session_key('decisions.visitor_id', 'sessionized.session_started_at') }}
            as session_key,
        decisions.vendor_session_id,
        decisions.account_id,
        decisions.campaign_id,
        decisions.experiment_id,
        decisions.variation_id,
        decisions.user_ip,
        decisions.user_agent,
        decisions.referer,
        decisions.revision,
        decisions.client_engine,
        decisions.client_version,
        decisions.attributes,
        decisions.is_holdback,
        {{ optimizely_e3.is_bot('decisions.attributes') }} as is_bot,
        decisions.occurred_at,
        decisions.processed_at,
        decisions._export_date as export_date
    from decisions
    inner join sessionized
        on
            decisions._file_id = sessionized._file_id
            and decisions._file_row = sessionized._file_row
)

select * from final
