with

definitions as (
    select * from {{ ref('int_metric_definitions') }}
),

experiment_metrics as (
    select * from {{ ref('int_experiment_metrics') }}
),

observed as (
    select
        metric_name,
        max(metric_origin) as metric_origin,
        bool_or(is_ratio) as is_ratio,
        count(*) as experiment_count
    from experiment_metrics
    group by metric_name
),

known as (
    select
        coalesce(definitions.metric_name, observed.metric_name) as metric_name,
        coalesce(observed.metric_origin, 'declared') as metric_origin,
        case
            when definitions.metric_name is not null then definitions.metric_type
            {%- for metric in optimizely_e3.automatic_metrics() %}
            when
                observed.metric_origin = 'automatic'
                and observed.metric_name like '%: {{ metric.measure }}'
                then '{{ metric.metric_type }}'
            {%- endfor %}
            when observed.is_ratio then 'ratio'
            else 'sum'
        end as metric_type,
        case
            when definitions.metric_name is not null then definitions.measure
            {%- for metric in optimizely_e3.automatic_metrics() %}
            when
                observed.metric_origin = 'automatic'
                and observed.metric_name like '%: {{ metric.measure }}'
                then '{{ metric.added_up }}'
            {%- endfor %}
        end as measure,
        coalesce(definitions.direction, 'increase') as direction,
        definitions.role,
        definitions.description,
        definitions.step_count,
        cast(definitions.window_microseconds as double) / cast(3.6e9 as double) as window_hours,
        cast(definitions.within_microseconds as double) / cast(1e6 as double) as within_seconds,
        cast(definitions.cap_quantile as double) as cap_quantile,
        definitions.non_inferiority_margin,
        coalesce(observed.experiment_count, 0) as experiment_count
    from definitions
    full outer join observed on definitions.metric_name = observed.metric_name
),

final as (
    select
        metric_name,
        metric_origin,
        metric_type,
        case when metric_type in ('count', 'sum', 'ratio') then measure end as measure,
        direction,
        role,
        description,
        case when metric_type = 'funnel' then step_count end as step_count,
        window_hours,
        within_seconds,
        cap_quantile,
        non_inferiority_margin,
        experiment_count
    from known
)

select * from final
