-- Is the effect the same for all kinds of visitors?
--
-- One row per metric × segment value × variation of one experiment: the result within the segment,
-- beside the lift of everyone. A segment is an attribute of the visitor as it was at the exposure;
-- any attribute can be asked for, also one that is not in the var `segments`. The more segments are
-- looked at, the more of them differ by chance.
--
-- Vars: `experiment_id` (without it, the experiment with the most visitors), `segment` (an
-- attribute's name, or such as `device`, `browserId`, `source_type`; `device` without it),
-- `metric_name`, `variation_id` (all without them).
{%- set segment = var('segment', 'device') %}
{%- set segment_value = optimizely_e3.attribute_value('exposures.attributes', segment) %}

with

experiment as (
    {{ optimizely_e3.experiment_in_question() }}
),

exposures as (
    select * from {{ ref('fct_exposures') }}
),

all_observations as (
    select * from {{ ref('fct_metric_observations') }}
),

results as (
    select * from {{ ref('experiment_results') }}
),

observations as (
    select
        all_observations.*,
        coalesce({{ segment_value }}, '(none)') as segment_value -- noqa: PRS
    from all_observations
    inner join experiment on all_observations.experiment_id = experiment.experiment_id
    inner join exposures
        on
            all_observations.experiment_id = exposures.experiment_id
            and all_observations.visitor_id = exposures.visitor_id
    where {{ optimizely_e3.is_asked_for('all_observations.metric_name') }}
),

arms as (
    select
        experiment_id,
        metric_name,
        variation_id,
        segment_value,
        count(*) as visitors,
        sum(value)
        / nullif(coalesce(sum(denominator), cast(count(*) as double)), 0) as mean
    from observations
    group by experiment_id, metric_name, variation_id, segment_value
),

overall as (
    select
        experiment_id,
        metric_name,
        variation_id,
        baseline_variation_id,
        lift
    from results
    where segment_name = 'all'
),

compared as (
    select
        arms.*,
        overall.lift as overall_lift,
        overall.baseline_variation_id,
        max(case when arms.variation_id = overall.baseline_variation_id then arms.mean end) over (
            partition by arms.experiment_id, arms.metric_name, arms.segment_value
        ) as baseline_mean
    from arms
    inner join overall
        on
            arms.experiment_id = overall.experiment_id
            and arms.metric_name = overall.metric_name
            and arms.variation_id = overall.variation_id
),

final as (
    select
        metric_name,
        segment_value,
        variation_id,
        visitors,
        case when baseline_mean > 0 then (mean - baseline_mean) / baseline_mean end as lift,
        overall_lift,
        mean,
        baseline_mean,
        mean - baseline_mean as difference,
        baseline_variation_id,
        {{ optimizely_e3.text_literal(segment) }} as segment_name,
        experiment_id
    from compared
    where {{ optimizely_e3.is_asked_for('variation_id') }}
)

select * from final
order by metric_name, segment_value, variation_id
