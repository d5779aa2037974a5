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

{#
    An `element` of a conversion's `experiments` speaks of an experiment if it names one. It attributes
    the conversion to it unless the visitor was held back.
#}
{% macro names_experiment() %}
    {{- "element.experiment_id <> ''" -}}
{% endmacro %}

{% macro is_held_back() %}
    {{- 'coalesce(element.is_holdback, false)' -}}
{% endmacro %}

{% macro has_decision(exposures) %}
    {#- Whether a decision was seen, and not the vendor's attribution alone. -#}
    {{ exposures }}.exposure_source in ('decision', 'both')
{%- endmacro %}

{% macro is_counted(conversions) %}
    {#- Whether a row of fct_attributed_conversions counts for its experiment. -#}
    not {{ conversions }}.is_bot
    and {{ conversions }}.attribution_source
    in ('both', '{{ optimizely_e3.counting_settings().attribution }}')
    and {{ conversions }}.seconds_since_exposure >= 0
{%- endmacro %}

{% macro bot_reason(events) %}
    {#- Why an event is a bot's, the first that holds; beside `bot_user_agents` and `sessionized`. -#}
    case
        when {{ optimizely_e3.has_bot_attribute(events ~ '.attributes') }} then 'attribute'
        when bot_user_agents.user_agent is not null then 'user_agent'
        when sessionized.is_over_rate then 'rate'
    end
{%- endmacro %}

{% macro event_id(uuid) %}
    {#- An event without an id of its own is none other's duplicate. -#}
    coalesce(
        lower(nullif({{ uuid }}, '')),
        'row-' || cast(_file_id as string) || '-' || cast(_file_row as string)
    )
{%- endmacro %}

{% macro exported_events(columns) %}
    {#-
        Select of the rows to rebuild of both staging tables, with these columns only. `table_name` is
        one of them where it is asked for: DuckDB keeps all columns of a common table that is read
        twice.
    -#}
    {%- for table_name in ['decisions', 'conversions'] %}
    {%- if not loop.first %}
    union all
    {%- endif %}
    select
        {%- for column in columns %}
        {{ "'" ~ table_name ~ "' as table_name" if column == 'table_name' else column }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from ({{ optimizely_e3.rows_to_rebuild(ref('stg_optimizely__' ~ table_name)) }}) as exported
    {%- endfor %}
{%- endmacro %}

{% macro attribution_ends_at(exposed_at) %}
    {#- The last instant at which a conversion is attributed to an exposure; NULL for no end. -#}
    {%- if var('attribution_window_hours') == 0 -%}
    cast(null as timestamp)
    {%- else -%}
    {{ exposed_at }} + interval '{{ "%.6f" | format(var("attribution_window_hours") * 3600) }}' second
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
