{#
    Common tables that follow funnels from step to step: `step_rows` → `chains`, the rows to which a
    chain of events leads, each with `chain_started_at`, `previous_at` (NULL at step 1) and
    `exposed_at`, the last exposure before the chain's start.

    For each event at a step, the latest start of a chain that ends there is kept: if any chain ends
    there within the limit, that one does; if any began at or after an exposure, that one did. The
    later an event, the later its latest start. So the chain comes from the last row before it at
    the step before, and all that is to be known of that row is the greatest so far: a running
    maximum.

    Each level fills in the rows that come from one step. Within an instant, rows are in the order
    of their steps, for events of one instant count as in order; in a crowd (see crowds.sql) in the
    opposite order, for there a row says itself how far before the crowd its chain comes from.
#}
{% macro chains() -%}
{%- set last_level = optimizely_e3.longest_funnel() - 1 -%}
{%- set keys = ['metric_number', 'visitor_key', 'session_number'] -%}
{%- set given = keys + ['occurred_at', 'order_in_instant', 'step', 'from_step'] -%}
level_0 as (
    {{ optimizely_e3.rows_of_level(0) }}
),
{% for level in range(1, last_level + 1) %}
{{ optimizely_e3.rows_from_step_on(level) }}
seen_at_level_{{ level }} as (
    select
        *,
        max(case when step = {{ level }} then occurred_at end) over so_far as came_at,
        max(case when step = {{ level }} then chain_started_at end) over so_far as came_started_at,
        max(case when step = {{ level }} then exposed_at end) over so_far as came_exposed_at
    from ({{ optimizely_e3.rows_of_level(level) }}) as level_rows
    window
        so_far as (
            partition by {{ keys | join(', ') }}
            order by occurred_at, order_in_instant
            rows between unbounded preceding and current row
        )
),

level_{{ level }} as (
    select
        {%- for column in given %}
        seen.{{ column }},
        {%- endfor %}
        case when from_step = {{ level }} then came_exposed_at else exposed_at end as exposed_at,
        case when from_step = {{ level }} then came_started_at else chain_started_at end
            as chain_started_at,
        case
            when from_step <> {{ level }} then previous_at
            when step = {{ level + 1 }} then came_at
            else occurred_at
        end as previous_at
    from seen_at_level_{{ level }} as seen
    inner join funnels on seen.metric_number = funnels.metric_number
    where
        from_step <> {{ level }}
        or (
            came_started_at is not null
            and (
                funnels.chain_microseconds is null
                or {{ optimizely_e3.microseconds_between('came_started_at', 'occurred_at') }}
                <= funnels.chain_microseconds
            )
        )
),
{% endfor %}
chains as (
    {{ optimizely_e3.rows_of_all_levels(last_level) }}
)
{%- endmacro %}

{#
    Which rows pass through a level. DuckDB computes a common table once: the rows that come from
    the level's step, and those to which a chain leads there or further. Spark computes a common
    table anew for each reference to it: all rows pass through all levels, one after the other, and
    are sorted once.
#}
{% macro rows_of_level(level) %}
    {{- adapter.dispatch('rows_of_level', 'optimizely_e3')(level) -}}
{% endmacro %}

{% macro default__rows_of_level(level) %}
    {%- if level == 0 -%}
    {{ optimizely_e3.unfilled_rows('step_rows') }}
    where from_step = 0
    {%- else -%}
    select * from level_{{ level - 1 }} where step >= {{ level }}
    union all
    {{ optimizely_e3.unfilled_rows('rows_from_step_' ~ level) }}
    where from_step = {{ level }}
    {%- endif -%}
{% endmacro %}

{% macro spark__rows_of_level(level) %}
    {%- if level == 0 -%}
    {{ optimizely_e3.unfilled_rows('step_rows') }}
    {%- else -%}
    select * from level_{{ level - 1 }}
    {%- endif -%}
{% endmacro %}

{% macro unfilled_rows(relation) %}
    {#- Rows with what is known before any level: that chains begin at those from step 0. -#}
    select
        *,
        case when from_step = 0 then occurred_at end as chain_started_at,
        case when from_step = 0 and step > 1 then occurred_at end as previous_at
    from {{ relation }}
{%- endmacro %}

{#
    Common table of the rows that come from a step or a later one: what the levels before have
    taken is not read again.
#}
{% macro rows_from_step_on(level) %}
    {{- adapter.dispatch('rows_from_step_on', 'optimizely_e3')(level) -}}
{% endmacro %}

{% macro default__rows_from_step_on(level) %}
rows_from_step_{{ level }} as (
    select *
    from {{ 'step_rows' if level == 1 else 'rows_from_step_' ~ (level - 1) }}
    where from_step >= {{ level }}
),
{% endmacro %}

{% macro spark__rows_from_step_on(level) %}{% endmacro %}

{% macro rows_of_all_levels(last_level) %}
    {{- adapter.dispatch('rows_of_all_levels', 'optimizely_e3')(last_level) -}}
{% endmacro %}

{% macro default__rows_of_all_levels(last_level) %}
    {%- for level in range(last_level + 1) %}
    select * from level_{{ level }} where from_step = {{ level }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
{%- endmacro %}

{% macro spark__rows_of_all_levels(last_level) %}
    select * from level_{{ last_level }}
{%- endmacro %}
