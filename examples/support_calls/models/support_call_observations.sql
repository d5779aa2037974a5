with

calls as (
    select * from {{ ref('support_calls') }}
),

exposures as (
    select * from {{ ref('int_counted_exposures') }}
),

-- A call counts as a conversion does: from the exposure on, that instant included, and no longer
-- than conversions are attributed.
callers as (
    select
        exposures.experiment_id,
        exposures.visitor_id,
        cast(count(*) as double) as call_count,
        sum(calls.minutes) as minutes
    from exposures
    inner join calls
        on
            exposures.visitor_id = calls.visitor_id
            and exposures.exposed_at <= calls.called_at
    where
        exposures.is_attributable
        and coalesce(calls.called_at <= exposures.attributed_until, true)
    group by exposures.experiment_id, exposures.visitor_id
),

-- Visitors who did not call have no row: they are zeros by themselves.
final as (
    select
        experiment_id,
        visitor_id,
        'support calls' as metric_name,
        call_count as value,
        cast(null as double) as denominator
    from callers
    union all
    select
        experiment_id,
        visitor_id,
        'minutes per support call' as metric_name,
        minutes as value,
        call_count as denominator
    from callers
)

select * from final
