{# What the events of this export mean: the only place that knows the vendor's flags. #}

{% macro has_bot_attribute(attributes) %}
    {#-
        Whether the vendor flagged the event as a bot's. A `case`, for DuckDB would work out the text
        of every attribute to the right of an `and`.
    -#}
    coalesce({{ optimizely_e3.any_element(
        attributes,
        "case when coalesce(element.name, element.id) = '$opt_bot_filtering' then lower("
        ~ optimizely_e3.attribute_text('element.value') ~ ") = 'true' else false end"
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

{% macro session_started_ms(session_key, visitor_id) %}
    {#- What `session_key` holds beside the visitor: the session's start, as a bigint. -#}
    cast(substr({{ session_key }}, length({{ visitor_id }}) + 2) as bigint)
{%- endmacro %}

{% macro event_key(event_name, entity_id) %}
    {#- What an event is called in metrics. -#}
    coalesce({{ event_name }}, {{ entity_id }})
{%- endmacro %}

{% macro attribution_ends_at(exposed_at) %}
    {#- The last instant at which a conversion is attributed to an exposure; NULL for no end. -#}
    {%- if var('attribution_window_hours') == 0 -%}
    cast(null as timestamp)
    {%- else -%}
    {{ exposed_at }} + interval '{{ (var("attribution_window_hours") * 3600) | int }}' second
    {%- endif -%}
{%- endmacro %}

{% macro attribute_value(attributes, name) %}
    {#-
        The value of a visitor's attribute: of the first element with that key. The key is the name
        (or id), but what the vendor knows by itself has its type for a key.
    -#}
    {%- set key %}
        case
            when coalesce(element.type, 'custom') = 'custom' then coalesce(element.name, element.id)
            when element.type = 'metadata' then element.name
            else element.type
        end
    {%- endset -%}
    {{ optimizely_e3.attribute_text(
        optimizely_e3.first_element(
            attributes, key ~ ' = ' ~ optimizely_e3.text_literal(name)
        ) ~ '.value'
    ) }}
{%- endmacro %}

{% macro text_literal(text) %}
    {{- "'" ~ text | replace("'", "''") ~ "'" -}}
{% endmacro %}
