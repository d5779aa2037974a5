{#
    Rules of a single row of the seeds `metrics` and `metric_events`: a condition that is true for a
    mistaken row, and the SQL of what is said about it.
#}

{% macro rules_of_metrics() %}
    {%- set words = optimizely_e3.metric_vocabulary() -%}
    {%- set most_hours, most_seconds = '1000000', '3600000000' -%}
    {%- set seconds = 'coalesce(try_cast(within_seconds as double), 0)' -%}
    {%- set other_than_funnel = words.metric_type | reject('equalto', 'funnel') | list -%}
    {%- set rules = [
        ["metric_name is null", "'metric_name is blank'"],
        [
            "metric_type is null",
            "'metric_type is blank, must be " ~ optimizely_e3.one_of(words.metric_type) ~ "'",
        ],
        [
            "metric_type = 'sum' and coalesce(value, 'events') = 'events'",
            "'value is ' || coalesce('\"' || value || '\"', 'blank')"
            ~ " || ', must be revenue, value or quantity in a sum'",
        ],
        [
            "metric_type in ('conversion', 'funnel', 'compound', 'retention') and value is not null",
            "'value is \"' || value || '\", must be blank in a ' || metric_type",
        ],
        [
            "metric_type = 'count' and value in ('revenue', 'value', 'quantity')",
            "'value is \"' || value || '\", must be events or blank in a count'",
        ],
        [
            "not " ~ optimizely_e3.is_blank_or_between('window_hours', 0, most_hours),
            "'window_hours is \"' || window_hours || '\", must be a number from 0 to "
            ~ most_hours ~ "'",
        ],
        [
            "not " ~ optimizely_e3.is_blank_or_between('within_seconds', 0, most_seconds),
            "'within_seconds is \"' || within_seconds || '\", must be a number from 0 to "
            ~ most_seconds ~ "'",
        ],
        [
            "metric_type = 'retention'"
            ~ " and round(coalesce(try_cast(window_hours as double), 0) * 3.6e9) = 0 and "
            ~ optimizely_e3.is_blank_or_between('window_hours', 0, most_hours),
            "'window_hours is none: it says when the return period of a retention begins'",
        ],
        [
            "metric_type in ('conversion', 'count', 'sum', 'ratio', 'compound') and " ~ seconds ~ " > 0",
            "'within_seconds is given, but a ' || metric_type || ' has window_hours only'",
        ],
        [
            "metric_type in (" ~ optimizely_e3.text_list(other_than_funnel)
            ~ ") and within_from in (" ~ optimizely_e3.text_list(words.within_from) ~ ")",
            "'within_from is given, but only a funnel has it'",
        ],
        [
            "metric_type = 'funnel' and within_from is not null and " ~ seconds ~ " = 0 and "
            ~ optimizely_e3.is_blank_or_between('within_seconds', 0, most_seconds),
            "'within_from is given, but within_seconds is not'",
        ],
        [
            "metric_type in ('conversion', 'count', 'sum', 'ratio', 'retention') and scope = 'session'",
            "'scope is \"session\", but only a funnel or a compound has it'",
        ],
        [
            "not " ~ optimizely_e3.is_blank_or_between('cap_quantile', 0, 1)
            ~ " or try_cast(cap_quantile as double) = 1",
            "'cap_quantile is \"' || cap_quantile || '\", must be a number between 0 and 1'",
        ],
        [
            "metric_type in ('conversion', 'ratio', 'funnel', 'compound', 'retention')"
            ~ " and try_cast(cap_quantile as double) > 0",
            "'cap_quantile is given, but only a count or a sum has it'",
        ],
        [
            "not " ~ optimizely_e3.is_blank_or_between('non_inferiority_margin', 0, 1)
            ~ " or try_cast(non_inferiority_margin as double) = 1",
            "'non_inferiority_margin is \"' || non_inferiority_margin"
            ~ " || '\", must be a number between 0 and 1'",
        ],
        [
            "coalesce(role, 'secondary') in ('primary', 'secondary')"
            ~ " and try_cast(non_inferiority_margin as double) > 0",
            "'non_inferiority_margin is given, but only a guardrail has it'",
        ],
    ] -%}
    {%- for column in ['metric_type', 'value', 'within_from', 'scope', 'direction', 'role'] -%}
        {%- do rules.append([
            column ~ " not in (" ~ optimizely_e3.text_list(words[column]) ~ ")",
            "'" ~ column ~ " is \"' || " ~ column ~ " || '\", must be "
            ~ optimizely_e3.one_of(words[column]) ~ "'",
        ]) -%}
    {%- endfor -%}
    {%- for metric in optimizely_e3.automatic_metrics() -%}
        {%- do rules.append([
            "metric_name like '%: " ~ metric.measure ~ "'",
            "'a name that ends in \": " ~ metric.measure ~ "\" is that of an automatic metric'",
        ]) -%}
    {%- endfor -%}
    {{- return(rules) -}}
{% endmacro %}

{% macro rules_of_metric_events() %}
    {#- A row is beside its metric's `metric_type`, which is NULL where there is no such metric. -#}
    {%- set words = optimizely_e3.metric_vocabulary() -%}
    {%- set positioned = "clause in ('step', 'all_of', 'any_of', 'none_of')" -%}
    {%- set rules = [
        ["metric_name is null", "'metric_name is blank'"],
        ["metric_name is not null and not is_declared", "'is not in metrics.csv'"],
        ["match_value is null", "'match_value is blank'"],
        [
            "tag_name is null and tag_value is not null",
            "'tag_value is \"' || tag_value || '\", but tag_name is blank'",
        ],
        [
            positioned ~ " and not coalesce(position_number between 1 and 1e6"
            ~ " and position_number = floor(position_number), false)",
            "'position is ' || coalesce('\"' || position || '\"', 'blank')"
            ~ " || ', must be a whole number from 1 in ' || clause",
        ],
        [
            "not " ~ optimizely_e3.is_blank_or_between('min_count', 0, '1e9')
            ~ " or count_number <> floor(count_number)",
            "'min_count is \"' || min_count || '\", must be a whole number'",
        ],
        [
            "count_number > 1 and metric_type in ('count', 'sum', 'ratio', 'funnel')",
            "'min_count is \"' || min_count || '\", but a ' || metric_type || ' has none'",
        ],
    ] -%}
    {%- for column in ['clause', 'match_field'] -%}
        {%- do rules.append([
            "coalesce(" ~ column ~ ", '') not in (" ~ optimizely_e3.text_list(words[column]) ~ ")",
            "'" ~ column ~ " is ' || coalesce('\"' || " ~ column ~ " || '\"', 'blank') || ', must be "
            ~ optimizely_e3.one_of(words[column]) ~ "'",
        ]) -%}
    {%- endfor -%}
    {%- for metric_type, clauses in optimizely_e3.clauses_of_types().items() -%}
        {%- do rules.append([
            "metric_type = '" ~ metric_type ~ "' and clause in ("
            ~ optimizely_e3.text_list(words.clause) ~ ") and clause not in ("
            ~ optimizely_e3.text_list(clauses) ~ ")",
            "'clause is \"' || clause || '\", must be " ~ optimizely_e3.one_of(clauses)
            ~ " in a " ~ metric_type ~ "'",
        ]) -%}
    {%- endfor -%}
    {{- return(rules) -}}
{% endmacro %}

{% macro broken_rules(rules) %}
    {#- SQL of what is said about a row by each rule; NULL where the row keeps to it. -#}
    {%- set said = [] -%}
    {%- for condition, mistake in rules -%}
        {%- do said.append('case when ' ~ condition ~ ' then ' ~ mistake ~ ' end') -%}
    {%- endfor -%}
    {{- return(said) -}}
{% endmacro %}
