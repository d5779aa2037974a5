{{ optimizely_e3.visitor_config() }}

with

decisions as (
    {{ optimizely_e3.rows_to_rebuild(ref('fct_decisions')) }}
),

conversions as (
    {{ optimizely_e3.rows_to_rebuild(ref('fct_conversions')) }}
),

events as (
    select
        session_key,
        visitor_id,
        occurred_at,
        is_bot,
        1 as decision_count,
        0 as conversion_count,
        cast(null as decimal(38, 0)) as revenue_cents
    from decisions
    union all
    select
        session_key,
        visitor_id,
        occurred_at,
        is_bot,
        0 as decision_count,
        1 as conversion_count,
        cast(revenue_cents as decimal(38, 0)) as revenue_cents
    from conversions
),

final as (
    select
        session_key,
        visitor_id,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        {{ optimizely_e3.seconds_between('min(occurred_at)', 'max(occurred_at)') }}
            as duration_seconds,
        cast(sum(decision_count) as bigint) as decision_count,
        cast(sum(conversion_count) as bigint) as conversion_count,
        -- Wider than the column: two absurd amounts from outside must not stop every build.
        cast(coalesce(sum(revenue_cents), 0) as decimal(38, 0)) as revenue_cents,
        bool_or(is_bot) as is_bot
    from events
    where session_key is not null
    group by session_key, visitor_id
)

select * from final
