{%- set keys = ['experiment_id', 'variation_id', 'segment_name', 'segment_value'] %}
{%- set sums = {
    'unique_conversions': 'cast(count_if(%(now)s <> 0) as bigint)',
    'total_conversions': 'cast(sum(conversion_count) as bigint)',
    'value_sum': 'sum(%(now)s)',
    'value_sum_squares': 'sum(%(now)s * %(now)s)',
} %}
{%- set sums_of_denominators = {
    'denominator_sum': 'sum(denominator)',
    'denominator_sum_squares': 'sum(denominator * denominator)',
    'cross_product_sum': 'sum(value * denominator)',
} %}

with

exposures as (
    select * from {{ ref('int_exposure_segments') }}
),

experiment_metrics as (
    select * from {{ ref('int_experiment_metrics') }}
),

observed_values as (
    select *
    from {{ ref('int_metric_values') }}
    where metric_origin <> 'automatic'
),

covariates as (
    select * from {{ ref('int_covariates') }}
),

data_end as (
    select * from {{ ref('int_data_end') }}
),

-- Metrics differ in few lengths of time; visitors are counted once for each.
periods as (
    select distinct maturity_microseconds
    from experiment_metrics
),

arms as (
    select
        exposures.experiment_id,
        exposures.variation_id,
        exposures.segment_name,
        exposures.segment_value,
        periods.maturity_microseconds,
        count(*) as visitors,
        cast(
            count_if({{ optimizely_e3.is_mature('exposures.exposed_at', 'periods') }}) as bigint
        ) as mature_visitors
    from exposures
    cross join periods
    cross join data_end
    group by
        exposures.experiment_id,
        exposures.variation_id,
        exposures.segment_name,
        exposures.segment_value,
        periods.maturity_microseconds
),

-- Visitors without a value add nothing to a sum: only those with one are read.
segmented_values as (
    {{ optimizely_e3.in_segments('observed_values', 'exposures') }}
),
{% if var('automatic_metrics') %}
event_observations as (
    select *
    from {{ ref('int_event_observations') }}
    where is_latest
),

segmented_events as (
    {{ optimizely_e3.in_segments('event_observations', 'exposures') }}
),
{% endif %}
{{ optimizely_e3.metric_sums(
    'segmented_values', 'segmented_events', keys, sums, sums_of_denominators
) }},

-- Of automatic metrics too, which the sums above read from their events.
values_after_exposure as (
    select * from {{ ref('int_metric_values') }}
),

-- Most visitors have no event before their exposure: those with a covariate are few.
segmented_covariates as (
    select
        covariates.experiment_id,
        covariates.variation_id,
        covariates.metric_name,
        exposures.segment_name,
        exposures.segment_value,
        covariates.value as covariate,
        values_after_exposure.value
    from covariates
    inner join exposures
        on
            covariates.experiment_id = exposures.experiment_id
            and covariates.visitor_id = exposures.visitor_id
    left join values_after_exposure
        on
            covariates.experiment_id = values_after_exposure.experiment_id
            and covariates.visitor_id = values_after_exposure.visitor_id
            and covariates.metric_name = values_after_exposure.metric_name
),

covariate_sums as (
    select
        experiment_id,
        variation_id,
        metric_name,
        segment_name,
        segment_value,
        sum(covariate) as covariate_sum,
        sum(covariate * covariate) as covariate_sum_squares,
        coalesce(sum(covariate * value), cast(0 as double)) as covariate_product_sum
    from segmented_covariates
    group by experiment_id, variation_id, metric_name, segment_name, segment_value
),

-- Where any visitor of the experiment has a covariate, those without one have 0.
metrics_with_covariates as (
    select distinct
        experiment_id,
        metric_name
    from covariates
),

final as (
    select
        arms.experiment_id,
        experiment_metrics.metric_name,
        arms.variation_id,
        arms.segment_name,
        arms.segment_value,
        arms.visitors,
        arms.mature_visitors,
        coalesce(metric_sums.unique_conversions, 0) as unique_conversions,
        case
            when experiment_metrics.is_of_conversions
                then coalesce(metric_sums.total_conversions, 0)
        end as total_conversions,
        coalesce(metric_sums.value_sum, cast(0 as double)) as value_sum,
        coalesce(metric_sums.value_sum_squares, cast(0 as double)) as value_sum_squares,
        case
            when experiment_metrics.is_ratio
                then coalesce(metric_sums.denominator_sum, cast(0 as double))
        end as denominator_sum,
        case
            when experiment_metrics.is_ratio
                then coalesce(metric_sums.denominator_sum_squares, cast(0 as double))
        end as denominator_sum_squares,
        case
            when experiment_metrics.is_ratio
                then coalesce(metric_sums.cross_product_sum, cast(0 as double))
        end as cross_product_sum,
        {%- for sum in ['covariate_sum', 'covariate_sum_squares', 'covariate_product_sum'] %}
        case
            when metrics_with_covariates.metric_name is not null
                then coalesce(covariate_sums.{{ sum }}, cast(0 as double))
        end as {{ sum }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from arms
    inner join experiment_metrics
        on
            arms.experiment_id = experiment_metrics.experiment_id
            and arms.maturity_microseconds
            is not distinct from experiment_metrics.maturity_microseconds
    left join metric_sums
        on
            arms.experiment_id = metric_sums.experiment_id
            and arms.variation_id = metric_sums.variation_id
            and arms.segment_name = metric_sums.segment_name
            and arms.segment_value = metric_sums.segment_value
            and experiment_metrics.metric_name = metric_sums.metric_name
    left join metrics_with_covariates
        on
            experiment_metrics.experiment_id = metrics_with_covariates.experiment_id
            and experiment_metrics.metric_name = metrics_with_covariates.metric_name
    left join covariate_sums
        on
            arms.experiment_id = covariate_sums.experiment_id
            and arms.variation_id = covariate_sums.variation_id
            and arms.segment_name = covariate_sums.segment_name
            and arms.segment_value = covariate_sums.segment_value
            and experiment_metrics.metric_name = covariate_sums.metric_name
)

select * from final
