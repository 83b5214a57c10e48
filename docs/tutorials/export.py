# %% [markdown]
# # export
