{# Thresholds of the checks in `experiment_health`: vars. Meaning: docs/health.md, section 3. #}

{% macro threshold(name) %}
    {#- A threshold as a double. -#}
    {{- 'cast(' ~ var(name) ~ ' as double)' -}}
{% endmacro %}

{% macro health_status(fails, warns) %}
    {#- Of two conditions; unknown is neither. -#}
    case when {{ fails }} then 'fail' when {{ warns }} then 'warn' else 'pass' end
{%- endmacro %}

{% macro threshold_mistakes() %}
    {#- What is wrong with the vars, as a list of sentences. -#}
    {%- set shares = [
        'sample_ratio_warn_p', 'sample_ratio_fail_p',
        'crossover_warn_share', 'crossover_fail_share', 'bot_warn_share', 'bot_fail_share',
        'late_warn_share', 'late_fail_share', 'exposures_warn_share',
        'attribution_warn_share', 'attribution_fail_share',
    ] -%}
    {%- set counts = ['missing_warn_days', 'missing_fail_days', 'running_warn_days'] -%}
    {#- The one that is reached first, and the other. -#}
    {%- set orders = {
        'sample_ratio_fail_p': 'sample_ratio_warn_p',
        'crossover_warn_share': 'crossover_fail_share',
        'bot_warn_share': 'bot_fail_share',
        'late_warn_share': 'late_fail_share',
        'missing_warn_days': 'missing_fail_days',
        'attribution_fail_share': 'attribution_warn_share',
    } -%}
    {%- set mistakes = [] -%}
    {%- for name in shares -%}
        {%- if not optimizely_e3.is_number(var(name)) or not 0 <= var(name) <= 1 -%}
            {%- do mistakes.append(name ~ ' must be a number from 0 to 1') -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for name in counts if var(name) is not integer or var(name) < 1 -%}
        {%- do mistakes.append(name ~ ' must be a whole number of days, 1 or more') -%}
    {%- endfor -%}
    {%- set concentration = var('sample_ratio_concentration') -%}
    {%- if not optimizely_e3.is_number(concentration) or not 1 <= concentration <= 1e9 -%}
        {%- do mistakes.append('sample_ratio_concentration must be a number from 1 to 1e9') -%}
    {%- endif -%}
    {%- if not mistakes -%}
        {%- for lesser, greater in orders.items() if var(lesser) > var(greater) -%}
            {%- do mistakes.append(lesser ~ ' must not be more than ' ~ greater) -%}
        {%- endfor -%}
    {%- endif -%}
    {{- return(mistakes) -}}
{% endmacro %}

{% macro is_number(value) %}
    {#- True and false are numbers to Jinja. -#}
    {{- return(value is integer or value is float) -}}
{% endmacro %}
