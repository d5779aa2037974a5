-- Counted either way, the last day of `int_daily_summary` is `metric_summary`, and visitors do not
-- grow fewer. Returns the experiments × metrics × variations × ways of counting where it is not so.
with

days as (
    select
        *,
        lag(visitors) over (
            partition by experiment_id, metric_name, variation_id, counted_by
            order by day
        ) as visitors_before,
        lead(day) over (
            partition by experiment_id, metric_name, variation_id, counted_by
            order by day
        ) as next_day
    from {{ ref('int_daily_summary') }}
),

last_days as (
    select *
    from days
    where next_day is null
),

ways as (
    select
        experiment_metrics.experiment_id,
        experiment_metrics.metric_name,
        listed.counted_by
    from {{ ref('int_experiment_metrics') }} as experiment_metrics
    cross join (values ('day_of_exposure'), ('day_of_observation')) as listed (counted_by)
    where
        experiment_metrics.metric_origin <> 'outside'
        or listed.counted_by = 'day_of_exposure'
),

summary as (
    select
        ways.counted_by,
        everyone.*
    from {{ ref('metric_summary') }} as everyone
    inner join ways
        on
            everyone.experiment_id = ways.experiment_id
            and everyone.metric_name = ways.metric_name
    where everyone.segment_name = 'all'
),

compared as (
    select
        coalesce(summary.experiment_id, last_days.experiment_id) as experiment_id,
        coalesce(summary.metric_name, last_days.metric_name) as metric_name,
        coalesce(summary.variation_id, last_days.variation_id) as variation_id,
        coalesce(summary.counted_by, last_days.counted_by) as counted_by,
        coalesce(last_days.visitors = summary.visitors, false)
        {%- for name in [
            'value_sum', 'value_sum_squares', 'denominator_sum', 'denominator_sum_squares',
            'cross_product_sum'
        ] %}
        -- Sums of doubles depend on the order of their rows.
        and coalesce(
            abs(last_days.{{ name }} - summary.{{ name }})
            <= 1e-9 * greatest(1, abs(summary.{{ name }}), summary.value_sum_squares),
            last_days.{{ name }} is null and summary.{{ name }} is null
        )
        {%- endfor %} as is_same
    from summary
    full outer join last_days
        on
            summary.experiment_id = last_days.experiment_id
            and summary.metric_name = last_days.metric_name
            and summary.variation_id = last_days.variation_id
            and summary.counted_by = last_days.counted_by
)

select
    experiment_id,
    metric_name,
    variation_id,
    counted_by
from compared
where not is_same
union all
select
    experiment_id,
    metric_name,
    variation_id,
    counted_by
from days
where visitors < visitors_before
