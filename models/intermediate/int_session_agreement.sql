with

decisions as (
    select * from {{ ref('fct_decisions') }}
),

conversions as (
    select * from {{ ref('fct_conversions') }}
),

sessions as (
    select * from {{ ref('fct_sessions') }}
),

events as (
    select
        visitor_id,
        session_key,
        vendor_session_id
    from decisions
    union all
    select
        visitor_id,
        session_key,
        vendor_session_id
    from conversions
),

-- The vendor's ids collide across visitors: a session of theirs is a visitor and an id.
shared_sessions as (
    select distinct
        visitor_id,
        session_key,
        vendor_session_id
    from events
    where session_key is not null and vendor_session_id is not null
),

vendor_sessions as (
    select
        visitor_id,
        vendor_session_id,
        count(*) as session_count
    from shared_sessions
    group by visitor_id, vendor_session_id
),

compared as (
    select
        shared_sessions.session_key,
        count(*) > 1 as is_joined,
        max(vendor_sessions.session_count) > 1 as is_split
    from shared_sessions
    inner join vendor_sessions
        on
            shared_sessions.visitor_id = vendor_sessions.visitor_id
            and shared_sessions.vendor_session_id = vendor_sessions.vendor_session_id
    group by shared_sessions.session_key
),

final as (
    select
        sessions.session_key,
        sessions.visitor_id,
        case
            when compared.session_key is null then 'not_filled'
            when compared.is_split and compared.is_joined then 'split_and_joined'
            when compared.is_split then 'split'
            when compared.is_joined then 'joined'
            else 'agree'
        end as agreement,
        sessions.decision_count + sessions.conversion_count as event_count,
        sessions.started_at
    from sessions
    left join compared on sessions.session_key = compared.session_key
)

select * from final
