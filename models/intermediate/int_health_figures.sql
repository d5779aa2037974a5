{#- A table: every check reads it. -#}
{{ config(materialized='table_if_changed') }}
{%- set warn_p = optimizely_e3.threshold('sample_ratio_warn_p') %}

with

experiments as (
    select * from {{ ref('dim_experiments') }}
),

weights as (
    select * from {{ ref('int_variation_weights') }}
),

ratio_days as (
    select * from {{ ref('int_sample_ratio_days') }}
),

decisions as (
    select * from {{ ref('fct_decisions') }}
),

export_days as (
    select * from {{ ref('export_days') }}
),

audit as (
    select * from {{ ref('attribution_audit') }}
),

-- How far each variation is from the share that it should have.
shares as (
    select
        experiment_id,
        variation_id,
        visitors,
        is_weight_assumed,
        expected_share,
        cast(visitors as double)
        / cast(sum(visitors) over (partition by experiment_id) as double) as observed_share,
        count(*) over (partition by experiment_id) as variation_count
    from weights
    -- Of an experiment without counted visitors there is nothing to tell.
    where experiment_id in (select ratio_days.experiment_id from ratio_days)
),

-- One that nobody was planned for goes first. Two variations are equally far off, but for the last
-- digits: then the one with too many visitors.
ranked_shares as (
    select
        *,
        row_number() over (
            partition by experiment_id
            order by
                case when expected_share > 0 then 1 else 0 end,
                round(abs(observed_share - expected_share), 12) desc,
                observed_share - expected_share desc,
                length(variation_id),
                variation_id
        ) as worst_rank
    from shares
),

worst_arms as (
    select * from ranked_shares
    where worst_rank = 1
),

detections as (
    select
        experiment_id,
        min(exposure_date) as first_exposed_on,
        max(exposure_date) as last_exposed_on,
        min(case when p_value_always_valid <= {{ warn_p }} then exposure_date end) as detected_on
    from ratio_days
    group by experiment_id
),

last_days as (
    select
        ratio_days.*,
        detections.first_exposed_on,
        detections.detected_on
    from ratio_days
    inner join detections
        on
            ratio_days.experiment_id = detections.experiment_id
            and ratio_days.exposure_date = detections.last_exposed_on
),

-- Until a deviation begins, the evidence for one falls; the day on which it was least is the last
-- before it. Before the first day there is no evidence at all: its logarithm is 0.
days_before_detection as (
    select
        ratio_days.experiment_id,
        ratio_days.exposure_date,
        row_number() over (
            partition by ratio_days.experiment_id
            order by ratio_days.log_bayes_factor, ratio_days.exposure_date desc
        ) as evidence_rank
    from ratio_days
    inner join detections on ratio_days.experiment_id = detections.experiment_id
    where
        ratio_days.exposure_date < detections.detected_on
        and ratio_days.log_bayes_factor < 0e0
),

beginnings as (
    select
        detections.experiment_id,
        -- An unplanned visitor is a deviation by itself, and begins none before.
        case
            when max(ratio_days.unplanned_visitors) > 0 then detections.detected_on
            else
                min(
                    case
                        when
                            days_before_detection.exposure_date is null
                            or ratio_days.exposure_date > days_before_detection.exposure_date
                            then ratio_days.exposure_date
                    end
                )
        end as began_on
    from detections
    inner join ratio_days
        on
            detections.experiment_id = ratio_days.experiment_id
            and detections.detected_on >= ratio_days.exposure_date
    left join days_before_detection
        on
            detections.experiment_id = days_before_detection.experiment_id
            and days_before_detection.evidence_rank = 1
    group by detections.experiment_id, detections.detected_on
),

-- A day of the run counts against it only if its decisions are landed.
landed_run_days as (
    select
        detections.experiment_id,
        export_days.export_date as run_date,
        coalesce(ratio_days.new_visitors, 0) as new_visitors,
        export_days.is_complete
    from detections
    inner join export_days
        on
            export_days.export_date between detections.first_exposed_on
            and detections.last_exposed_on
    left join ratio_days
        on
            detections.experiment_id = ratio_days.experiment_id
            and export_days.export_date = ratio_days.exposure_date
    where export_days.export_type = 'decisions' and export_days.is_landed
),

exposure_facts as (
    select
        experiment_id,
        cast(count_if(new_visitors = 0) as bigint) as silent_days,
        min(case when new_visitors = 0 then run_date end) as first_silent_on,
        max(case when is_complete then run_date end) as last_full_on,
        max_by(new_visitors, case when is_complete then run_date end) as last_full_visitors
    from landed_run_days
    group by experiment_id
),

decision_facts as (
    select
        experiment_id,
        count(*) as decisions,
        cast(count_if(cast(occurred_at as date) < export_date) as bigint) as late_decisions
    from decisions
    where experiment_id is not null
    group by experiment_id
),

missing_facts as (
    select
        experiments.experiment_id,
        cast(count_if(export_days.export_type = 'decisions') as bigint) as missing_decision_days,
        cast(count_if(export_days.export_type = 'events') as bigint) as missing_event_days,
        min(export_days.export_date) as first_missing_on
    from experiments
    inner join export_days
        on
            export_days.export_date between cast(experiments.first_seen_at as date)
            and cast(experiments.last_seen_at as date)
    where export_days.is_missing
    group by experiments.experiment_id
),

-- Where the vendor filled nothing, or no decision was seen, one of the two had nothing to say.
agreement_facts as (
    select
        experiment_id,
        cast(sum(conversion_count) as bigint) as comparable_conversions,
        cast(sum(case when agreement = 'agree' then conversion_count else 0 end) as bigint)
            as agreeing_conversions
    from audit
    where agreement not in ('not_filled', 'no_decision_seen')
    group by experiment_id
),

final as (
    select
        experiments.experiment_id,
        experiments.visitor_count - experiments.holdback_count as exposed_visitors,
        experiments.crossover_count as crossover_visitors,
        experiments.bot_count as bot_visitors,
        coalesce(last_days.visitors, 0) as visitors,
        coalesce(worst_arms.variation_count, 0) as variation_count,
        worst_arms.variation_id as worst_variation_id,
        worst_arms.visitors as worst_visitors,
        worst_arms.observed_share,
        worst_arms.expected_share,
        worst_arms.is_weight_assumed,
        last_days.arm_count,
        last_days.unplanned_visitors,
        last_days.chi_square,
        last_days.p_value_always_valid,
        last_days.detected_on,
        beginnings.began_on,
        last_days.first_exposed_on,
        last_days.exposure_date as last_exposed_on,
        {{ optimizely_e3.days_between('last_days.first_exposed_on', 'last_days.exposure_date') }}
        + 1 as days_running,
        exposure_facts.silent_days,
        exposure_facts.first_silent_on,
        exposure_facts.last_full_on,
        exposure_facts.last_full_visitors,
        coalesce(decision_facts.decisions, 0) as decisions,
        coalesce(decision_facts.late_decisions, 0) as late_decisions,
        cast(experiments.first_seen_at as date) as first_seen_on,
        cast(experiments.last_seen_at as date) as last_seen_on,
        coalesce(missing_facts.missing_decision_days, 0) as missing_decision_days,
        coalesce(missing_facts.missing_event_days, 0) as missing_event_days,
        missing_facts.first_missing_on,
        coalesce(agreement_facts.comparable_conversions, 0) as comparable_conversions,
        coalesce(agreement_facts.agreeing_conversions, 0) as agreeing_conversions
    from experiments
    left join last_days on experiments.experiment_id = last_days.experiment_id
    left join worst_arms on experiments.experiment_id = worst_arms.experiment_id
    left join beginnings on experiments.experiment_id = beginnings.experiment_id
    left join exposure_facts on experiments.experiment_id = exposure_facts.experiment_id
    left join decision_facts on experiments.experiment_id = decision_facts.experiment_id
    left join missing_facts on experiments.experiment_id = missing_facts.experiment_id
    left join agreement_facts on experiments.experiment_id = agreement_facts.experiment_id
)

select * from final
