{#
    `condition`, which speaks of `element`, holds for every struct of a list column. Returns the
    rows against it.
#}
{% test every_element(model, column_name, condition) %}
select {{ column_name }}
from {{ model }}
where {{ optimizely_e3.any_element(column_name, 'not (' ~ condition ~ ')') }}
{% endtest %}
