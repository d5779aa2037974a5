with

sessions as (
    select * from {{ ref('int_session_agreement') }}
),

final as (
    select
        cast(started_at as date) as session_date,
        agreement,
        count(*) as session_count,
        cast(sum(event_count) as bigint) as event_count
    from sessions
    group by cast(started_at as date), agreement
)

select * from final
