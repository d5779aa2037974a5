{# What the events of this export mean: the only place that knows the vendor's flags. #}

{% macro has_bot_attribute(attributes) %}
    {#- Whether the vendor flagged the event as a bot's. -#}
    coalesce({{ optimizely_e3.any_element(
        attributes,
        "coalesce(element.name, element.id) = '$opt_bot_filtering' and lower("
        ~ optimizely_e3.attribute_text('element.value') ~ ") = 'true'"
    ) }}, false)
{%- endmacro %}

{% macro bot_user_agents(relation) %}
    {#-
        Select of the user agents in the rows to rebuild of `relation` that contain a pattern. User
        agents are few and events many: each user agent is looked at once. It reads the relation
        itself, for DuckDB keeps all columns of a CTE that is read twice.
    -#}
    select distinct user_agents.user_agent
    from (
        select distinct user_agent
        from ({{ optimizely_e3.rows_to_rebuild(relation) }}) as rebuilt
        where user_agent is not null
    ) as user_agents
    inner join {{ ref('stg_registry__bot_user_agents') }} as patterns
        on contains(lower(user_agents.user_agent), patterns.pattern)
{%- endmacro %}

{% macro attribute_text(value) %}
    {#-
        Typed values may carry a leading U+E000. Not `ltrim`: Spark takes its two arguments the
        other way round.
    -#}
    trim(leading '{{ "\ue000" }}' from {{ value }})
{%- endmacro %}

{% macro session_key(visitor_id, session_started_at) %}
    {#-
        `<visitor>:<start in epoch milliseconds>`: the vendor's session ids collide across visitors.
    -#}
    {%- set started_ms = optimizely_e3.epoch_milliseconds(session_started_at) %}
    {{ visitor_id }} || ':' || cast({{ started_ms }} as string)
{%- endmacro %}

{% macro event_key(event_name, entity_id) %}
    {#- What an event is called in metrics. -#}
    coalesce({{ event_name }}, {{ entity_id }})
{%- endmacro %}
