{#
    Common tables that follow funnels of up to `longest` steps: `step_rows` → `chains`, the rows to
    which a chain of events leads, each with `chain_started_at`, `previous_at` (NULL at step 1) and
    `exposed_at`, the last exposure before the chain's start.

    For each event at a step, the latest start of a chain that ends there is kept: if any chain ends
    there within the limit, that one does; if any began at or after an exposure, that one did. The
    later an event, the later its latest start. So the chain comes from the last row before it at
    the step before, and all that is to be known of that row is the greatest so far.

    Within an instant, rows are in the order of their steps, for events of one instant count as in
    order; in a crowd (see crowds.sql) in the opposite order, for there a row says itself how far
    before the crowd its chain comes from.
#}
{% macro chains(longest) %}
    {{- adapter.dispatch('chains', 'optimizely_e3')(longest) -}}
{% endmacro %}

{#
    The greatest so far is a running maximum: one level for each step that rows come from, which
    fills in these rows. A level reads the rows that come from its step, and those to which a chain
    leads there or further.
#}
{% macro default__chains(longest) -%}
{%- set last_level = longest - 1 -%}
{%- set keys = ['metric_number', 'visitor_key', 'session_number'] -%}
{%- set given = keys + ['occurred_at', 'order_in_instant', 'step', 'from_step'] -%}
level_0 as (
    {{ optimizely_e3.unfilled_rows('step_rows') }}
    where from_step = 0
),
{% for level in range(1, last_level + 1) %}
-- What the levels before have taken is not read again.
rows_from_step_{{ level }} as (
    select *
    from {{ 'step_rows' if level == 1 else 'rows_from_step_' ~ (level - 1) }}
    where from_step >= {{ level }}
),

seen_at_level_{{ level }} as (
    select
        *,
        max(case when step = {{ level }} then occurred_at end) over so_far as came_at,
        max(case when step = {{ level }} then chain_started_at end) over so_far as came_started_at,
        max(case when step = {{ level }} then exposed_at end) over so_far as came_exposed_at
    from (
        select * from level_{{ level - 1 }} where step >= {{ level }}
        union all
        {{ optimizely_e3.unfilled_rows('rows_from_step_' ~ level) }}
        where from_step = {{ level }}
    ) as level_rows
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
    {%- for level in range(last_level + 1) %}
    select * from level_{{ level }} where from_step = {{ level }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)
{%- endmacro %}

{% macro unfilled_rows(relation) %}
    {#- Rows with what is known before any level: that chains begin at those from step 0. -#}
    select
        *,
        case when from_step = 0 then occurred_at end as chain_started_at,
        case when from_step = 0 and step > 1 then occurred_at end as previous_at
    from {{ relation }}
{%- endmacro %}

{#
    Spark would compute each level anew for each reference to it, and its analyzer gives up on so
    many levels. It walks through the rows of a visitor instead, in their order, with what was
    reached so far at each step. Only the first chain to a step from an exposure is kept: the
    others are not asked for.
#}
{% macro spark__chains(longest) -%}
{%- set chain = 'struct<step: smallint, exposed_at: timestamp, occurred_at: timestamp, '
    ~ 'chain_started_at: timestamp, previous_at: timestamp>' -%}
walks as (
    select
        step_rows.metric_number,
        step_rows.visitor_key,
        funnels.chain_microseconds,
        array_sort(array_agg(struct(
            step_rows.occurred_at,
            step_rows.order_in_instant,
            step_rows.step,
            step_rows.from_step,
            step_rows.exposed_at
        ))) as step_rows
    from step_rows
    inner join funnels on step_rows.metric_number = funnels.metric_number
    group by
        step_rows.metric_number,
        step_rows.visitor_key,
        step_rows.session_number,
        funnels.chain_microseconds
),

walked as (
    select
        metric_number,
        visitor_key,
        aggregate(
            step_rows,
            struct(
                array_repeat(cast(null as {{ chain }}), {{ longest }}) as reached,
                cast(array() as array<{{ chain }}>) as chains
            ),
            -- A list of one element gives a name to what stands in it.
            (so_far, here) -> element_at(
                transform(
                    transform(
                        array(get(so_far.reached, here.from_step - 1)),
                        came -> {{ optimizely_e3.chain_from('came', 'here') }}
                    ),
                    chain -> {{ optimizely_e3.walked_on('so_far', 'chain') }}
                ),
                1
            ),
            so_far -> so_far.chains
        ) as chains
    from walks
),

chains as (
    select
        metric_number,
        visitor_key,
        chain.*
    from (
        select
            metric_number,
            visitor_key,
            explode(chains) as chain
        from walked
    ) as exploded
)
{%- endmacro %}

{% macro chain_from(came, here) %}
    {#- The chain that ends at a row and comes from the chain `came`; NULL if none does. -#}
    case
        when {{ here }}.from_step = 0
            then struct(
                {{ here }}.step as step,
                {{ here }}.exposed_at as exposed_at,
                {{ here }}.occurred_at as occurred_at,
                {{ here }}.occurred_at as chain_started_at,
                case when {{ here }}.step > 1 then {{ here }}.occurred_at end as previous_at
            )
        when
            {{ came }} is not null
            and coalesce(
                {{ optimizely_e3.microseconds_between(
                    came ~ '.chain_started_at', here ~ '.occurred_at'
                ) }} <= chain_microseconds,
                true
            )
            then struct(
                {{ here }}.step as step,
                {{ came }}.exposed_at as exposed_at,
                {{ here }}.occurred_at as occurred_at,
                {{ came }}.chain_started_at as chain_started_at,
                case
                    when {{ here }}.step = {{ here }}.from_step + 1 then {{ came }}.occurred_at
                    else {{ here }}.occurred_at
                end as previous_at
            )
    end
{%- endmacro %}

{% macro walked_on(so_far, chain) %}
    {#- What is known after a row: the chain to it is now the latest at its step. -#}
    case
        when {{ chain }} is null then {{ so_far }}
        else struct(
            transform(
                {{ so_far }}.reached,
                (reached, i) -> case when i = {{ chain }}.step - 1 then {{ chain }} else reached end
            ) as reached,
            case
                when
                    exists(
                        {{ so_far }}.chains,
                        kept ->
                            kept.step = {{ chain }}.step
                            and kept.exposed_at = {{ chain }}.exposed_at
                    )
                    then {{ so_far }}.chains
                else array_append({{ so_far }}.chains, {{ chain }})
            end as chains
        )
    end
{%- endmacro %}
