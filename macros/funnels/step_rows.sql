{#
    Common table of the rows that chains lead through, → `step_rows`: outside of crowds one per
    event × step, in a crowd one per instant × step. Each has the keys of its chains, and
    `from_step`, the step of the row that a chain comes from; 0 where a chain begins, and there
    `exposed_at` is the visitor's last exposure up to then.

    Reads `looked_up`, `crowded_instants`, `crowd_rows`, `funnels` and `exposed_visitors`.
#}
{% macro step_rows() -%}
placed_rows as (
    select
        events.metric_number,
        events.visitor_id,
        events.session_key,
        events.followed_for,
        events.occurred_at,
        events.part as step,
        events.part - 1 as from_step,
        events.part as order_in_instant
    from ({{ optimizely_e3.events_at_steps() }}) as events
    where
        not exists (
            select 1
            from crowded_instants
            where {{ optimizely_e3.same_instant('crowded_instants', 'events') }}
        )
    union all
    select
        metric_number,
        visitor_id,
        session_key,
        followed_for,
        occurred_at,
        step,
        from_step,
        -step as order_in_instant
    from crowd_rows
),

step_rows as (
    select
        placed_rows.metric_number,
        exposed_visitors.visitor_key,
        case
            when funnels.scope = 'session'
                then
                    {{ optimizely_e3.session_started_ms(
                        'placed_rows.session_key', 'placed_rows.visitor_id'
                    ) }}
            else 0
        end as session_number,
        placed_rows.occurred_at,
        cast(placed_rows.order_in_instant as smallint) as order_in_instant,
        cast(placed_rows.step as smallint) as step,
        cast(placed_rows.from_step as smallint) as from_step,
        case
            when placed_rows.from_step > 0 then null
            when placed_rows.occurred_at >= exposed_visitors.last_exposed_at
                then exposed_visitors.last_exposed_at
            else
                {{ optimizely_e3.greatest_element_up_to(
                    'exposed_visitors.exposed_instants', 'placed_rows.occurred_at'
                ) }}
        end as exposed_at
    from placed_rows
    inner join funnels on placed_rows.metric_number = funnels.metric_number
    inner join exposed_visitors
        on
            placed_rows.visitor_id = exposed_visitors.visitor_id
            and placed_rows.followed_for = exposed_visitors.followed_for
            and placed_rows.occurred_at >= exposed_visitors.first_exposed_at
)
{%- endmacro %}

{% macro events_at_steps(columns=[], condition='true') %}
    {#- Select of events × the steps of funnels that they match. -#}
    {{- optimizely_e3.matching_events(
        optimizely_e3.followed_conversions(),
        ['visitor_id', 'session_key', 'followed_for', 'occurred_at'] + columns,
        condition,
    ) -}}
{% endmacro %}

{% macro followed_conversions() %}
    {#-
        Select of the conversions that a funnel is followed through. It is followed once for each
        visitor, whatever the number of experiments: these only ask whether a chain began at or
        after their exposure. But where the vendor says which conversions count for an experiment,
        it is followed for each experiment.
    -#}
    {%- if var('attribution') == 'vendor' -%}
    select
        conversions.*,
        attributed_events.experiment_id as followed_for
    from ({{ optimizely_e3.countable_conversions() }}) as conversions
    inner join attributed_events
        on
            conversions.visitor_id = attributed_events.visitor_id
            and conversions.event_id = attributed_events.event_id
    {%- else -%}
    select
        conversions.*,
        '' as followed_for
    from ({{ optimizely_e3.countable_conversions() }}) as conversions
    {%- endif -%}
{% endmacro %}

{% macro same_instant(left, right) -%}
    {{ left }}.metric_number = {{ right }}.metric_number
            and {{ left }}.visitor_id = {{ right }}.visitor_id
            and {{ left }}.followed_for = {{ right }}.followed_for
            and {{ left }}.occurred_at = {{ right }}.occurred_at
{%- endmacro %}
