{{ optimizely_e3.visitor_config(by_metric=true) }}
-- depends_on: {{ ref('int_vendor_attributions') }}

{%- set by_vendor = var('attribution') == 'vendor' %}
{%- set longest = optimizely_e3.longest_declared_funnel() %}

with

exposures as (
    {{ optimizely_e3.rows_to_rebuild(ref('int_counted_exposures')) }}
),

metric_events as (
    select * from {{ ref('stg_registry__metric_events') }}
),

funnels as (
    select
        *,
        case when within_from = 'first_step' then within_microseconds end as chain_microseconds,
        least(
            window_microseconds,
            case when within_from = 'exposure' then within_microseconds end
        ) as exposure_microseconds
    from {{ ref('int_metric_definitions') }}
    where metric_type = 'funnel'
),

parts as (
    select
        metric_events.*,
        funnels.metric_number,
        {{ optimizely_e3.is_changed_metric('funnels.metric_name') }} as is_changed
    from metric_events
    inner join funnels on metric_events.metric_name = funnels.metric_name
),

{% if by_vendor %}
attributed_events as (
    {{ optimizely_e3.attributed_events() }}
),
{% endif %}
{{ optimizely_e3.kinds_of_events(optimizely_e3.followed_conversions()) }},

numbered_exposures as (
    select
        *,
        {{ 'experiment_id' if by_vendor else "''" }} as followed_for
    from exposures
    where is_attributable
),

exposed_visitors as (
    select
        visitor_id,
        followed_for,
        {{ optimizely_e3.row_key(['visitor_id', 'followed_for']) }} as visitor_key,
        min(exposed_at) as first_exposed_at,
        max(exposed_at) as last_exposed_at,
        case when count(distinct exposed_at) > 1 then array_agg(distinct exposed_at) end
            as exposed_instants
    from numbered_exposures
    group by visitor_id, followed_for
),
{{ optimizely_e3.crowds(longest) }},

{{ optimizely_e3.step_rows() }},

{{ optimizely_e3.chains(longest) }},

-- Of the chains that began between two exposures, none but the earliest can be the first.
earliest_chains as (
    select
        funnels.metric_name,
        chains.visitor_key,
        chains.step,
        chains.exposed_at,
        min(chains.occurred_at) as reached_at,
        min(chains.chain_started_at) as chain_started_at,
        min(chains.previous_at) as previous_at,
        min(funnels.exposure_microseconds) as exposure_microseconds
    from chains
    inner join funnels on chains.metric_number = funnels.metric_number
    group by funnels.metric_name, chains.visitor_key, chains.step, chains.exposed_at
),

exposures_by_key as (
    select
        numbered_exposures.*,
        exposed_visitors.visitor_key
    from numbered_exposures
    inner join exposed_visitors
        on
            numbered_exposures.visitor_id = exposed_visitors.visitor_id
            and numbered_exposures.followed_for = exposed_visitors.followed_for
),

-- Experiments that exposed a visitor at the same instant ask the same question.
questions as (
    select distinct
        visitor_key,
        exposed_at
    from exposures_by_key
),

answers as (
    select
        questions.visitor_key,
        questions.exposed_at,
        earliest_chains.metric_name,
        earliest_chains.step,
        min(earliest_chains.reached_at) as reached_at,
        min(earliest_chains.chain_started_at) as chain_started_at,
        min(earliest_chains.previous_at) as previous_at
    from questions
    inner join earliest_chains
        on
            questions.visitor_key = earliest_chains.visitor_key
            and questions.exposed_at <= earliest_chains.exposed_at
    group by
        questions.visitor_key,
        questions.exposed_at,
        earliest_chains.metric_name,
        earliest_chains.step
    having
        coalesce(
            {{ optimizely_e3.microseconds_between(
                'questions.exposed_at', 'min(earliest_chains.reached_at)'
            ) }} <= min(earliest_chains.exposure_microseconds),
            true
        )
),

final as (
    select
        exposures_by_key.experiment_id,
        exposures_by_key.visitor_id,
        answers.metric_name,
        exposures_by_key.variation_id,
        cast(answers.step as bigint) as step,
        {{ optimizely_e3.seconds_between('answers.exposed_at', 'answers.reached_at') }}
            as seconds_since_exposure,
        {{ optimizely_e3.seconds_between('answers.chain_started_at', 'answers.reached_at') }}
            as seconds_since_first_step,
        {{ optimizely_e3.seconds_between(
            'coalesce(answers.previous_at, answers.exposed_at)', 'answers.reached_at'
        ) }} as seconds_since_previous_step,
        answers.exposed_at,
        answers.chain_started_at,
        answers.reached_at
    from exposures_by_key
    inner join answers
        on
            exposures_by_key.visitor_key = answers.visitor_key
            and exposures_by_key.exposed_at = answers.exposed_at
    where coalesce(answers.reached_at <= exposures_by_key.attributed_until, true)
)

select * from final
