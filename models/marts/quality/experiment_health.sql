{%- set chi_square_tail = optimizely_e3.chi_square_tail('chi_square', '(arm_count - 1)') %}
{%- set observed = optimizely_e3.percent_text('observed_share') %}
{%- set expected = optimizely_e3.percent_text('expected_share') %}
{%- set mean = optimizely_e3.number_text('mean_exposures', 1) %}

with

figures as (
    select * from {{ ref('int_health_figures') }}
),

-- Without a second variation, or without visitors, there is no ratio.
ratios as (
    select
        *,
        visitors > 0 and variation_count > 1 as has_ratio,
        case
            when visitors = 0 or variation_count < 2 then null
            when unplanned_visitors > 0 then 0e0
            else {{ chi_square_tail }}
        end as p_value,
        case
            when visitors = 0
                then 'No visitor counts for this experiment, so there is no ratio to check.'
            when variation_count < 2
                then
                    'Only variation ' || worst_variation_id
                    || ' has visitors or a planned share, so there is no ratio to check.'
            when unplanned_visitors > 0
                then
                    'Variation ' || worst_variation_id || ' has '
                    || cast(worst_visitors as string) || ' of ' || cast(visitors as string)
                    || ' visitors where none were planned: its weight is 0'
            else
                'Variation ' || worst_variation_id || ' has ' || {{ observed }} || ' of '
                || cast(visitors as string) || ' visitors where ' || {{ expected }}
                || case when is_weight_assumed then ' is an equal share' else ' were planned' end
        end as ratio_text
    from figures
),

sample_ratio as (
    select
        experiment_id,
        'sample_ratio' as check_name,
        {{ optimizely_e3.health_status(
            'p_value <= ' ~ optimizely_e3.threshold('sample_ratio_fail_p'),
            'p_value <= ' ~ optimizely_e3.threshold('sample_ratio_warn_p'),
        ) }} as status,
        case when has_ratio then observed_share end as observed,
        case when has_ratio then expected_share end as expected,
        case when has_ratio then observed_share - expected_share end as deviation,
        p_value,
        case when has_ratio then worst_variation_id end as worst_variation_id,
        cast(null as date) as began_on,
        cast(null as date) as detected_on,
        case
            when not has_ratio then ratio_text
            when unplanned_visitors > 0 then ratio_text || '.'
            when p_value > {{ optimizely_e3.threshold('sample_ratio_warn_p') }}
                then
                    ratio_text || ', no more than chance does ('
                    || {{ optimizely_e3.p_value_text('p_value') }} || ').'
            else ratio_text || ' (' || {{ optimizely_e3.p_value_text('p_value') }} || ').'
        end as message
    from ratios
),

sample_ratio_sequential as (
    select
        experiment_id,
        'sample_ratio_sequential' as check_name,
        {{ optimizely_e3.health_status(
            'has_ratio and p_value_always_valid <= '
            ~ optimizely_e3.threshold('sample_ratio_fail_p'),
            'has_ratio and p_value_always_valid <= '
            ~ optimizely_e3.threshold('sample_ratio_warn_p'),
        ) }} as status,
        case when has_ratio then observed_share end as observed,
        case when has_ratio then expected_share end as expected,
        case when has_ratio then observed_share - expected_share end as deviation,
        case when has_ratio then p_value_always_valid end as p_value,
        case when has_ratio then worst_variation_id end as worst_variation_id,
        began_on,
        detected_on,
        case
            when not has_ratio then ratio_text
            when detected_on is null
                then
                    'On no day so far did the visitors speak against the '
                    || case when is_weight_assumed then 'equal' else 'planned' end
                    || ' shares (always-valid '
                    || {{ optimizely_e3.p_value_text('p_value_always_valid') }} || ').'
            else
                ratio_text || ' (always-valid '
                || {{ optimizely_e3.p_value_text('p_value_always_valid') }}
                || '); the deviation began about ' || {{ optimizely_e3.date_text('began_on') }}
                || ' and showed on ' || {{ optimizely_e3.date_text('detected_on') }} || '.'
        end as message
    from ratios
),

visitor_shares as (
    select
        *,
        cast(crossover_visitors as double) / nullif(cast(exposed_visitors as double), 0e0)
            as crossover_share,
        cast(bot_visitors as double) / nullif(cast(exposed_visitors as double), 0e0) as bot_share,
        cast(late_decisions as double) / nullif(cast(decisions as double), 0e0) as late_share
    from figures
),

crossovers as (
    select
        experiment_id,
        'crossovers' as check_name,
        {{ optimizely_e3.health_status(
            'crossover_share > ' ~ optimizely_e3.threshold('crossover_fail_share'),
            'crossover_share > ' ~ optimizely_e3.threshold('crossover_warn_share'),
        ) }} as status,
        crossover_share as observed,
        {{ optimizely_e3.threshold('crossover_warn_share') }} as expected,
        case
            when exposed_visitors = 0 then 'No visitor was exposed.'
            else
                cast(crossover_visitors as string) || ' of ' || cast(exposed_visitors as string)
                || ' exposed visitors (' || {{ optimizely_e3.percent_text('crossover_share') }}
                || ') were seen in more than one variation.'
        end as message
    from visitor_shares
),

bots as (
    select
        experiment_id,
        'bots' as check_name,
        {{ optimizely_e3.health_status(
            'bot_share > ' ~ optimizely_e3.threshold('bot_fail_share'),
            'bot_share > ' ~ optimizely_e3.threshold('bot_warn_share'),
        ) }} as status,
        bot_share as observed,
        {{ optimizely_e3.threshold('bot_warn_share') }} as expected,
        case
            when exposed_visitors = 0 then 'No visitor was exposed.'
            else
                cast(bot_visitors as string) || ' of ' || cast(exposed_visitors as string)
                || ' exposed visitors (' || {{ optimizely_e3.percent_text('bot_share') }}
                || ') are flagged as bots and do not count.'
        end as message
    from visitor_shares
),

late_events as (
    select
        experiment_id,
        'late_events' as check_name,
        {{ optimizely_e3.health_status(
            'late_share > ' ~ optimizely_e3.threshold('late_fail_share'),
            'late_share > ' ~ optimizely_e3.threshold('late_warn_share'),
        ) }} as status,
        late_share as observed,
        {{ optimizely_e3.threshold('late_warn_share') }} as expected,
        case
            when decisions = 0 then 'No decision of this experiment was exported.'
            else
                cast(late_decisions as string) || ' of ' || cast(decisions as string)
                || ' decisions (' || {{ optimizely_e3.percent_text('late_share') }}
                || ') were exported under a later day than they happened.'
        end as message
    from visitor_shares
),

missing_days as (
    select
        experiment_id,
        'missing_days' as check_name,
        {{ optimizely_e3.health_status(
            'missing_decision_days + missing_event_days >= ' ~ var('missing_fail_days'),
            'missing_decision_days + missing_event_days >= ' ~ var('missing_warn_days'),
        ) }} as status,
        case
            when first_seen_on is not null
                then cast(missing_decision_days + missing_event_days as double)
        end as observed,
        cast(0 as double) as expected,
        case
            when first_seen_on is null then 'No event of this experiment says when it happened.'
            when missing_decision_days + missing_event_days = 0
                then
                    'No export day is missing from '
                    || {{ optimizely_e3.date_text('first_seen_on') }} || ' to '
                    || {{ optimizely_e3.date_text('last_seen_on') }} || '.'
            else
                'From ' || {{ optimizely_e3.date_text('first_seen_on') }} || ' to '
                || {{ optimizely_e3.date_text('last_seen_on') }} || ', '
                || {{ optimizely_e3.days_text('missing_decision_days') }}
                || ' of decisions and '
                || {{ optimizely_e3.days_text('missing_event_days') }}
                || ' of events are missing in the export, first '
                || {{ optimizely_e3.date_text('first_missing_on') }} || '.'
        end as message
    from figures
),

days_running as (
    select
        experiment_id,
        'days_running' as check_name,
        case
            when days_running >= {{ var('running_warn_days') }} then 'pass' else 'warn'
        end as status,
        cast(days_running as double) as observed,
        {{ optimizely_e3.threshold('running_warn_days') }} as expected,
        case
            when visitors = 0 then 'No visitor counts for this experiment.'
            else
                {{ optimizely_e3.days_text('days_running') }}
                || ' from the first exposure on '
                || {{ optimizely_e3.date_text('first_exposed_on') }} || ' to the last on '
                || {{ optimizely_e3.date_text('last_exposed_on') }}
                || case
                    when days_running < {{ var('running_warn_days') }}
                        then ', fewer than {{ var("running_warn_days") }}'
                    else ''
                end || '.'
        end as message
    from figures
),

exposure_means as (
    select
        *,
        cast(visitors as double) / cast(days_running as double) as mean_exposures
    from figures
),

exposure_falls as (
    select
        *,
        coalesce(
            cast(last_full_visitors as double)
            < mean_exposures * {{ optimizely_e3.threshold('exposures_warn_share') }},
            false
        ) as has_fallen
    from exposure_means
),

exposures_per_day as (
    select
        experiment_id,
        'exposures_per_day' as check_name,
        {{ optimizely_e3.health_status('false', 'silent_days > 0 or has_fallen') }} as status,
        mean_exposures as observed,
        cast(null as double) as expected,
        case
            when visitors = 0 then 'No visitor counts for this experiment.'
            when silent_days > 0
                then
                    {{ mean }} || ' visitors a day were exposed on average, but nobody on '
                    || {{ optimizely_e3.days_text('silent_days') }}
                    || ' whose decisions are landed, first '
                    || {{ optimizely_e3.date_text('first_silent_on') }} || '.'
            when has_fallen
                then
                    {{ mean }} || ' visitors a day were exposed on average, but only '
                    || cast(last_full_visitors as string) || ' on the last full day, '
                    || {{ optimizely_e3.date_text('last_full_on') }} || '.'
            else
                {{ mean }} || ' visitors a day were exposed on average, and some on every day'
                || ' whose decisions are landed.'
        end as message
    from exposure_falls
),

agreement_shares as (
    select
        *,
        cast(agreeing_conversions as double) / nullif(cast(comparable_conversions as double), 0e0)
            as agreeing_share
    from figures
),

attribution_agreement as (
    select
        experiment_id,
        'attribution_agreement' as check_name,
        {{ optimizely_e3.health_status(
            'agreeing_share < ' ~ optimizely_e3.threshold('attribution_fail_share'),
            'agreeing_share < ' ~ optimizely_e3.threshold('attribution_warn_share'),
        ) }} as status,
        agreeing_share as observed,
        {{ optimizely_e3.threshold('attribution_warn_share') }} as expected,
        case
            when comparable_conversions = 0
                then
                    'There is nothing to compare: the vendor fills no attribution of conversions'
                    || ' whose visitor has a decision.'
            else
                'Of ' || cast(comparable_conversions as string)
                || ' conversions that both could attribute, '
                || {{ optimizely_e3.percent_text('agreeing_share') }}
                || ' have the vendor''s attribution.'
        end as message
    from agreement_shares
),

-- Checks that are not of a ratio have no variation, no probability and no beginning.
plain_checks as (
    select * from crossovers
    union all
    select * from bots
    union all
    select * from late_events
    union all
    select * from missing_days
    union all
    select * from days_running
    union all
    select * from exposures_per_day
    union all
    select * from attribution_agreement
),

final as (
    select
        experiment_id,
        check_name,
        status,
        observed,
        expected,
        deviation,
        p_value,
        worst_variation_id,
        began_on,
        detected_on,
        message
    from sample_ratio
    union all
    select
        experiment_id,
        check_name,
        status,
        observed,
        expected,
        deviation,
        p_value,
        worst_variation_id,
        began_on,
        detected_on,
        message
    from sample_ratio_sequential
    union all
    select
        experiment_id,
        check_name,
        status,
        observed,
        expected,
        cast(null as double) as deviation,
        cast(null as double) as p_value,
        cast(null as string) as worst_variation_id,
        cast(null as date) as began_on,
        cast(null as date) as detected_on,
        message
    from plain_checks
)

select * from final
