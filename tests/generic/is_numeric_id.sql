{#
    Ids are numeric strings; NULL and empty text, which say that there is none, pass. Returns what
    is neither.
#}
{% test is_numeric_id(model, column_name) %}
select {{ column_name }}
from {{ model }}
where translate({{ column_name }}, '0123456789', '') <> ''
{% endtest %}
